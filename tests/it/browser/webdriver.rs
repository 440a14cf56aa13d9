//! Chromium, driven through chromedriver: WebDriver (W3C), which is HTTP and JSON.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::{Condvar, Mutex, Once};
use std::time::{Duration, Instant};
use std::{env, fs, io, thread};

use serde_json::{Value, json};

use crate::harness::process::DEADLINE;

/// Far longer than a command takes, so that only a hang is a failure.
const COMMAND_MAX: Duration = Duration::from_secs(120);

/// Set by `.ci/run`: without a browser the tests fail there instead of being skipped.
const REQUIRED: &str = "BROWSER_TESTS_REQUIRED";

/// Runs chromedriver. When standard input ends, which it does when this process is killed, too, it
/// kills its process group: the driver and the browser.
const DRIVER: &str = "chromedriver --port=0 < /dev/null & cat > /dev/null; kill -KILL 0";

/// Where screenshots are kept.
pub const SCREENSHOTS: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/browser");

/// The key of an element's id in WebDriver's JSON.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

pub const TAB: &str = "\u{e004}";
pub const ENTER: &str = "\u{e007}";

/// Browsers at a time: each needs a core of its own while it draws.
const BROWSERS_MAX: usize = 2;

/// How many run, and a bell for those that wait.
static RUNNING: (Mutex<usize>, Condvar) = (Mutex::new(0), Condvar::new());

/// The right to run a browser.
struct Turn;

pub struct Browser {
    driver: Child,
    /// Open until the end, so that the driver may write.
    _stdout: BufReader<ChildStdout>,
    agent: ureq::Agent,
    session: String,
    _turn: Turn,
}

impl Turn {
    fn wait() -> Turn {
        let (running, bell) = &RUNNING;
        let running = running.lock().unwrap();
        let mut running = bell
            .wait_while(running, |running| *running == BROWSERS_MAX)
            .unwrap();
        *running += 1;
        Turn
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        *RUNNING.0.lock().unwrap() -= 1;
        RUNNING.1.notify_one();
    }
}

impl Browser {
    /// A new browser with an empty profile. `None`: Chromium or chromedriver is not installed; a
    /// line on stderr says so once.
    #[track_caller]
    pub fn started() -> Option<Browser> {
        let turn = Turn::wait();
        if !is_installed("chromedriver") || !is_installed("chromium") {
            assert!(
                env::var_os(REQUIRED).is_none(),
                "chromium and chromedriver are needed"
            );
            static SAID: Once = Once::new();
            // Not `eprintln`, which `cargo test` hides.
            SAID.call_once(|| {
                let line = "browser tests are skipped: chromium and chromedriver are missing\n";
                io::stderr().write_all(line.as_bytes()).unwrap();
            });
            return None;
        }
        let mut driver = Command::new("sh")
            .args(["-c", DRIVER])
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(driver.stdout.take().unwrap());
        let lines = stdout.by_ref().lines();
        let port = |line: String| {
            let (_, port) = line.split_once("started successfully on port ")?;
            Some(port.trim_end_matches('.').to_string())
        };
        let port = lines.map_while(Result::ok).find_map(port);
        let agent = ureq::Agent::config_builder()
            .proxy(None)
            .http_status_as_error(false)
            .timeout_global(Some(COMMAND_MAX))
            .build();
        let mut browser = Browser {
            driver,
            _stdout: stdout,
            agent: agent.into(),
            session: format!(
                "http://127.0.0.1:{}",
                port.expect("chromedriver says its port")
            ),
            _turn: turn,
        };
        let answer = browser.post("/session", &json!({"capabilities": capabilities()}));
        let id = answer["sessionId"].as_str().expect("a session has an id");
        browser.session = format!("{}/session/{id}", browser.session);
        Some(browser)
    }

    /// Sends a command. Returns its value, or its error.
    fn try_post(&self, path: &str, body: &Value) -> Result<Value, Value> {
        let url = format!("{}{path}", self.session);
        let request = self
            .agent
            .post(&url)
            .header("Content-Type", "application/json");
        read(request.send(body.to_string()))
    }

    #[track_caller]
    fn post(&self, path: &str, body: &Value) -> Value {
        self.try_post(path, body)
            .unwrap_or_else(|error| panic!("{path} {body}: {error}"))
    }

    #[track_caller]
    fn get(&self, path: &str) -> Value {
        let answer = read(self.agent.get(format!("{}{path}", self.session)).call());
        answer.unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    #[track_caller]
    pub fn open(&self, url: &str) {
        self.post("/url", &json!({ "url": url }));
    }

    /// Runs a script and returns what it returns.
    #[track_caller]
    pub fn script(&self, script: &str) -> Value {
        self.post("/execute/sync", &json!({"script": script, "args": []}))
    }

    /// The element that is shown and matches the CSS selector and has this text within it. Waits
    /// until there is one.
    #[track_caller]
    pub fn find(&self, selector: &str, text: &str) -> String {
        let find = format!(
            "return [...document.querySelectorAll({})].find((it) => it.checkVisibility() && \
             it.textContent.includes({}))",
            json!(selector),
            json!(text)
        );
        let deadline = Instant::now() + DEADLINE;
        loop {
            if let Some(id) = self.script(&find)[ELEMENT].as_str() {
                return id.to_string();
            }
            let page = self.page();
            assert!(
                Instant::now() < deadline,
                "no {selector} with {text:?} on this page:\n{page}"
            );
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// What is written on the page now.
    #[track_caller]
    pub fn page(&self) -> String {
        let text = self.script("return document.body.innerText");
        text.as_str().unwrap_or_default().to_string()
    }

    /// Clicks with the mouse, as [`Browser::find`] finds: in the middle of the window, where
    /// nothing that stays at its edge is above.
    #[track_caller]
    pub fn click(&self, selector: &str, text: &str) {
        let element = self.find(selector, text);
        let center = "arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})";
        let body = json!({"script": center, "args": [{ELEMENT: element}]});
        self.post("/execute/sync", &body);
        self.post(&format!("/element/{element}/click"), &json!({}));
    }

    /// Types into the element that has the focus.
    #[track_caller]
    pub fn press(&self, keys: &str) {
        let press = |key: char| {
            let key = key.to_string();
            [
                json!({"type": "keyDown", "value": key}),
                json!({"type": "keyUp", "value": key}),
            ]
        };
        let keys: Vec<Value> = keys.chars().flat_map(press).collect();
        let actions = json!([{"type": "key", "id": "keyboard", "actions": keys}]);
        self.post("/actions", &json!({ "actions": actions }));
    }

    /// The name that a screen reader says for an element.
    #[track_caller]
    pub fn label(&self, element: &Value) -> String {
        let id = element[ELEMENT].as_str().expect("an element has an id");
        let label = self.get(&format!("/element/{id}/computedlabel"));
        label.as_str().unwrap_or_default().to_string()
    }

    /// Makes the page so wide, and light or dark.
    #[track_caller]
    pub fn show_as(&self, width: u32, height: u32, scheme: &str) {
        let size = json!({"width": width, "height": height, "deviceScaleFactor": 1,
            "mobile": false});
        self.devtools("Emulation.setDeviceMetricsOverride", &size);
        let features = json!([{"name": "prefers-color-scheme", "value": scheme}]);
        self.devtools(
            "Emulation.setEmulatedMedia",
            &json!({ "features": features }),
        );
    }

    #[track_caller]
    fn devtools(&self, command: &str, parameters: &Value) {
        let body = json!({"cmd": command, "params": parameters});
        self.post("/goog/cdp/execute", &body);
    }

    /// Keeps what is seen now as `<name>.png` in [`SCREENSHOTS`].
    #[track_caller]
    pub fn screenshot(&self, name: &str) {
        let picture = self.get("/screenshot");
        let picture = decode_base64(picture.as_str().expect("a picture is text"));
        fs::create_dir_all(SCREENSHOTS).unwrap();
        fs::write(format!("{SCREENSHOTS}/{name}.png"), picture).unwrap();
    }

    /// What was written to the console since the last call, but for requests that failed.
    #[track_caller]
    pub fn console(&self) -> Vec<String> {
        let entries = self.post("/se/log", &json!({"type": "browser"}));
        let entries = entries.as_array().expect("a list").iter();
        let messages = entries.filter_map(|entry| entry["message"].as_str());
        let is_failed_request = |line: &&str| line.contains("Failed to load resource");
        messages
            .filter(|line| !is_failed_request(line))
            .map(str::to_string)
            .collect()
    }

    /// The addresses of all requests since the last call.
    #[track_caller]
    pub fn requests(&self) -> Vec<String> {
        let entries = self.post("/se/log", &json!({"type": "performance"}));
        let entries = entries.as_array().expect("a list").iter();
        let request = |entry: &Value| {
            let entry: Value = serde_json::from_str(entry["message"].as_str()?).ok()?;
            let event = &entry["message"];
            let url = event["params"]["request"]["url"].as_str()?;
            (event["method"] == "Network.requestWillBeSent").then(|| url.to_string())
        };
        entries.filter_map(request).collect()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The driver ends the browser, and removes its profile.
        let _ = self.agent.delete(&self.session).call();
        drop(self.driver.stdin.take());
        let _ = self.driver.wait();
    }
}

fn capabilities() -> Value {
    let arguments = [
        "--headless=new",
        // Root may not have a sandbox.
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--no-first-run",
        "--no-default-browser-check",
        "--hide-scrollbars",
        "--lang=en",
        // No name is looked up, so nothing outside this machine is asked.
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.*",
    ];
    json!({"alwaysMatch": {
        "browserName": "chrome",
        "goog:chromeOptions": {"args": arguments},
        "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
    }})
}

fn is_installed(program: &str) -> bool {
    let paths = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&paths).any(|path| path.join(program).is_file())
}

/// The value of an answer, or its error.
fn read(answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> Result<Value, Value> {
    let mut answer = answer.map_err(|error| json!(error.to_string()))?;
    let is_error = 400 <= answer.status().as_u16();
    let body = answer
        .body_mut()
        .with_config()
        .limit(64 << 20)
        .read_to_string();
    let body = body.map_err(|error| json!(error.to_string()))?;
    let body: Value = serde_json::from_str(&body).map_err(|error| json!(error.to_string()))?;
    let value = body["value"].clone();
    if is_error { Err(value) } else { Ok(value) }
}

fn decode_base64(text: &str) -> Vec<u8> {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digits = text
        .bytes()
        .filter_map(|byte| DIGITS.iter().position(|digit| *digit == byte));
    let digits: Vec<usize> = digits.collect();
    let bytes = digits.chunks(4).flat_map(|four| {
        let number = (0..4).fold(0, |number, at| number << 6 | four.get(at).unwrap_or(&0));
        let bytes = [16, 8, 0].map(|shift| (number >> shift) as u8);
        bytes.into_iter().take(four.len() * 6 / 8)
    });
    bytes.collect()
}

#[test]
fn base64_is_read() {
    for (text, bytes) in [("TWFu", "Man"), ("TWE=", "Ma"), ("TQ==", "M"), ("", "")] {
        assert_eq!(decode_base64(text), bytes.as_bytes());
    }
}
