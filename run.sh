#!/usr/bin/env bash
# Builds Bazar and runs a whole shop on this machine until Ctrl-C.
set -u

usage() {
    cat <<'END'
usage: ./run.sh [--catalogs N] [--orders N] [--fresh] [--token]

Builds Bazar in release mode, starts its servers, starts again what dies, and stops all of them on Ctrl-C.

  --catalogs N   so many catalogs (default: 2)
  --orders N     so many order servers (default: 2); number n has catalog n, after the last one the first again
  --fresh        begin with the first stock again: removes the catalogs' data folders
  --token        make a SERVICE_TOKEN, show it, and let the servers ask for it

Environment (default):
  HOST             where the servers listen (127.0.0.1)
  FRONT_END_HOST   where the front-end listens (HOST); 0.0.0.0 sells to the network and needs --token
  FRONT_END_PORT   (5002)
  ORDER_PORT       of the first order server (5001); the next ones have 1000 more each
  CATALOG_PORT     of the first catalog (5000); the next ones have 1000 more each
  DATA             where the catalogs' data folders are (data)
  BOOKS            the first stock (data/books.json)
  SERVICE_TOKEN    the servers' token, instead of --token
  BAZAR_BIN        a bazar that is built already
  LOG              debug, info (the default) or warn; the log shows times in UTC

More settings of the servers, such as LOOKUP_CACHE_SIZE, are handed on: see bazar --help.
END
}

# A server that lived this many ticks was healthy: its next end is the first again.
readonly TICK=0.2 HEALTHY_TICKS=50
# So many ticks at most between two starts of a server that dies again and again.
readonly PAUSE_TICKS_MAX=150

say() { printf '%-10s %s\n' shop "$*"; }

die() {
    printf 'run.sh: %s\n' "$*" >&2
    exit 2
}

# --- What is wanted ---------------------------------------------------------------------------------------------

number() { # what, text, least, most: the text is such a number, or the end
    [[ $2 =~ ^[0-9]{1,5}$ ]] && ((10#$2 >= $3 && 10#$2 <= $4)) ||
        die "$1 is \"$2\" but must be a whole number from $3 to $4"
}

catalogs=2 orders=2 fresh= token=
while (($#)); do
    case $1 in
        --catalogs | --orders)
            number "$1" "${2-}" 1 50
            printf -v "${1#--}" %d "$((10#$2))"
            shift
            ;;
        --fresh) fresh=yes ;;
        --token) token=yes ;;
        -h | --help) usage && exit ;;
        *) die "$1 is not an option; see ./run.sh --help" ;;
    esac
    shift
done

# Paths in the settings are the caller's; all else is beside this script.
absolute() { [[ $1 == /* ]] && echo "$1" || echo "$PWD/$1"; }
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd) || exit 1
data=$(absolute "${DATA:-$here/data}")
books=$(absolute "${BOOKS:-$here/data/books.json}")
bazar=${BAZAR_BIN:+$(absolute "$BAZAR_BIN")}
cd "$here" || exit 1

host=${HOST:-127.0.0.1}
front_end_host=${FRONT_END_HOST:-$host}
front_end_port=${FRONT_END_PORT:-5002} order_port=${ORDER_PORT:-5001} catalog_port=${CATALOG_PORT:-5000}
number FRONT_END_PORT "$front_end_port" 1 65535
number ORDER_PORT "$order_port" 1 $((65535 - 1000 * (orders - 1)))
number CATALOG_PORT "$catalog_port" 1 $((65535 - 1000 * (catalogs - 1)))

# Servers by number from 0: catalogs, orders, the front-end.
names=() kinds=() hosts=() ports=() port_settings=()
add() {
    names+=("$1") kinds+=("$2") hosts+=("$3") ports+=("$4") port_settings+=("$5")
}
for ((n = 0; n < catalogs; n++)); do
    add "catalog$((n + 1))" catalog "$host" $((catalog_port + 1000 * n)) CATALOG_PORT
done
for ((n = 0; n < orders; n++)); do
    add "order$((n + 1))" order "$host" $((order_port + 1000 * n)) ORDER_PORT
done
add front-end front-end "$front_end_host" "$front_end_port" FRONT_END_PORT

# How others reach server $1. A wildcard is reached on HOST; an IPv6 address has brackets.
address() {
    local to=${hosts[$1]}
    case $to in 0.0.0.0 | :: | '[::]') to=$host ;; esac
    case $to in \[*) ;; *:*) to="[$to]" ;; esac
    echo "http://$to:${ports[$1]}"
}

# The addresses of all servers of kind $1 but number $2, as a setting.
addresses() {
    local list= n
    for n in "${!names[@]}"; do
        [[ ${kinds[n]} == "$1" && $n != "${2-}" ]] && list+="|$(address "$n")"
    done
    echo "${list#|}"
}

# Opens a connection to server $1 as descriptor 3 of a subshell. No curl, no nc: bash does it.
connect() {
    local to
    to=$(address "$1")
    to=${to#http://}
    to=${to%:*}
    exec 3<>"/dev/tcp/${to//[][]/}/${ports[$1]}"
}

check_ports() {
    local n m
    for n in "${!names[@]}"; do
        for ((m = 0; m < n; m++)); do
            [[ ${ports[m]} != "${ports[n]}" ]] ||
                die "${names[m]} and ${names[n]} both have port ${ports[n]}: set ${port_settings[n]} to another"
        done
        if (connect "$n") 2>/dev/null; then
            die "port ${ports[n]} on ${hosts[n]} is in use, so ${names[n]} cannot have it:" \
                "set ${port_settings[n]} to another, such as ${port_settings[n]}=$((ports[n] % 50000 + 10000)) ./run.sh"
        fi
    done
}

# --- The log ----------------------------------------------------------------------------------------------------

# Lines of JSON from server $1 become `catalog1   12:00:01 info  message key=value`; any other line stays as it is.
# Escapes but \" are left alone: what an unknown client sent must not reach the terminal as it was.
show() {
    local line rest time level message fields
    local pair='^[{,]"([^"\]*)":("(([^"\]|\\.)*)"|[^",}]*)(.*)$'
    trap '' INT TERM HUP
    while IFS= read -r line; do
        rest=$line time='' level='' message='' fields=''
        while [[ $rest =~ $pair ]]; do
            rest=${BASH_REMATCH[5]}
            local key=${BASH_REMATCH[1]} value=${BASH_REMATCH[2]}
            [[ $value == \"* ]] && value=${BASH_REMATCH[3]//\\\"/\"}
            case $key in
                time) time=${value:11:8} ;;
                level) level=$value ;;
                message) message=$value ;;
                server) ;;
                *) fields+=" $key=$value" ;;
            esac
        done
        if [[ $rest == '}' && $time ]]; then
            printf '%-10s %s %-5s %s%s\n' "$1" "$time" "$level" "$message" "$fields"
        else
            printf '%-10s %s\n' "$1" "$line"
        fi
    done
}

# --- Starting and starting again --------------------------------------------------------------------------------

pids=() loggers=() logs=() started=() failures=() due=()
now=0 building= stopping= opened=

# Server $1 as a process, its output to its log. Options win over whatever the environment holds.
launch() {
    local n=$1 kind=${kinds[$1]} own=()
    case $kind in
        catalog)
            own=(--data-dir "$data/${names[n]}" --books "$books" --catalog-addresses "$(addresses catalog "$n")"
                --front-end-address "$(addresses front-end)")
            ;;
        order)
            own=(--catalog-address "$(address $(((n - catalogs) % catalogs)))")
            ;;
        front-end)
            own=(--catalog-addresses "$(addresses catalog)" --order-addresses "$(addresses order)")
            ;;
    esac
    "$bazar" "$kind" --host "${hosts[n]}" --port "${ports[n]}" --address "$(address "$n")" "${own[@]}" \
        </dev/null >&"${logs[n]}" 2>&1 &
    pids[n]=$! started[n]=$now due[n]=
}

open_log() {
    exec {fd}> >(show "${names[$1]}")
    loggers[$1]=$! logs[$1]=$fd failures[$1]=0
}

# Server $1 has ended: says so, and when it is started again. Not after exit code 2: its settings are wrong, or its data.
bury() {
    local n=$1 code how
    wait "${pids[n]}"
    code=$?
    pids[n]=
    how="exit code $code"
    ((code > 128)) && how="signal $((code - 128))"
    if ((code == 2)); then
        say "${names[n]} cannot run as it is set up ($how); it is not started again"
        [[ $opened ]] || stop 1
        return
    fi
    if ((now - started[n] < HEALTHY_TICKS)); then
        ((failures[n]++))
    else
        failures[n]=1
    fi
    # At once, then after 0.4, 0.8, 1.6 … seconds.
    local pause=$((failures[n] < 2 ? 0 : failures[n] > 9 ? PAUSE_TICKS_MAX : 1 << (failures[n] - 1)))
    ((pause > PAUSE_TICKS_MAX)) && pause=$PAUSE_TICKS_MAX
    due[n]=$((now + pause))
    say "${names[n]} ended ($how); starting it again$( ((pause)) && echo " in $((pause / 5)).$((pause % 5 * 2)) s")"
}

watch() {
    local n
    for n in "${!names[@]}"; do
        if [[ ${pids[n]} ]]; then
            kill -0 "${pids[n]}" 2>/dev/null || bury "$n"
        elif [[ ${due[n]} ]] && ((due[n] <= now)); then
            launch "$n"
        fi
    done
}

# Whether server $1 says that it can do its job.
ready() {
    (
        connect "$1" || exit 1
        printf 'GET /readyz HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n' >&3
        IFS= read -r -t 2 status <&3 && [[ $status == 'HTTP/1.1 200'* ]]
    ) 2>/dev/null
}

all_ready() {
    local n
    for n in "${!names[@]}"; do
        ready "$n" && continue
        ((now % 50 == 49)) && say "waiting for ${names[n]}"
        return 1
    done
}

announce() {
    local n last=$((${#names[@]} - 1)) show_token=
    local shop=$(address "$last") catalog=$(address 0)
    say "the shop is open at $shop"
    for n in "${!names[@]}"; do
        say "  $(printf '%-10s' "${names[n]}") $(address "$n")"
    done
    [[ ${SERVICE_TOKEN-} ]] && show_token=" -H 'Authorization: Bearer $SERVICE_TOKEN'"
    say 'try:'
    say "  curl $shop/search/distributed"
    say "  curl $shop/lookup/2"
    say "  curl -X PUT $shop/buy/2"
    say "  curl$show_token -X PUT -d '{\"quantity\": 100}' $catalog/update/2"
    say "  curl$show_token $shop/dump/"
    say 'Ctrl-C stops it'
}

# --- Stopping ---------------------------------------------------------------------------------------------------

# Which of these processes are there.
alive() {
    local process
    for process; do
        [[ $process ]] && kill -0 "$process" 2>/dev/null && echo "$process"
    done
}

# Ends these processes: signal $1, and after 2 s KILL, which a stopped process does not ignore either.
end_all() {
    local signal=$1 left tenth
    shift
    left=$(alive "$@")
    [[ $left ]] && kill -s "$signal" $left 2>/dev/null
    for ((tenth = 0; tenth < 20; tenth++)); do
        left=$(alive "$@")
        [[ $left ]] || return 0
        sleep 0.1
    done
    kill -s KILL $left 2>/dev/null
}

# Ends the servers, then what shows their logs, and then this script with code $1.
stop() {
    trap '' INT TERM HUP PIPE
    say 'stopping'
    end_all TERM $building "${pids[@]}"
    local fd
    for fd in "${logs[@]}"; do
        exec {fd}>&-
    done
    # They end by themselves when the last line is shown.
    end_all CONT "${loggers[@]}"
    exit "$1"
}

# --- The shop ---------------------------------------------------------------------------------------------------

check_ports
if [[ $token && -z ${SERVICE_TOKEN-} ]]; then
    SERVICE_TOKEN=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n') || die 'no random bytes for a token'
fi
if [[ ${SERVICE_TOKEN-} ]]; then
    export SERVICE_TOKEN
    [[ $token ]] && say "SERVICE_TOKEN=$SERVICE_TOKEN"
fi
ulimit -n "$(ulimit -Hn)" 2>/dev/null

# A trap only leaves word, for the loop below: the time limit of a `read` that a trap interrupts also ends the trap.
trap 'stopping=yes' INT TERM HUP PIPE

if [[ ! $bazar ]]; then
    # In the background, so that a signal is noticed meanwhile.
    cargo build --release --locked &
    building=$!
    wait "$building" || stop 1
    building=
    [[ $stopping ]] && stop 0
    bazar=${CARGO_TARGET_DIR:-target}/release/bazar
fi

if [[ $fresh ]]; then
    for folder in "$data"/catalog[0-9]*/; do
        [[ -d $folder ]] || continue
        say "removing ${folder%/}"
        rm -rf -- "${folder%/}"
    done
fi
mkdir -p "$data" || exit 1

for n in "${!names[@]}"; do open_log "$n"; done
for n in "${!names[@]}"; do launch "$n"; done

# A descriptor on which nothing ever comes, to wait on without a process for each wait.
exec {never}<> <(:)
# From here on only bash itself would write there: whole command lines of servers that were killed, which we report.
exec 2>/dev/null
while [[ ! $stopping ]]; do
    read -r -t "$TICK" -u "$never"
    ((now++))
    watch
    if [[ ! $opened ]] && all_ready; then
        opened=yes
        announce
    fi
done
stop 0
