//! Which servers a shop has, where each listens, and what each is told of the others.

use std::path::PathBuf;

use crate::model::address::Address;

/// A kind of server. The order is that of a shop's list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Catalog,
    Order,
    FrontEnd,
}

impl Kind {
    pub(crate) const ALL: [Kind; 3] = [Kind::Catalog, Kind::Order, Kind::FrontEnd];

    /// The command of `bazar` that starts one.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Kind::Catalog => "catalog",
            Kind::Order => "order",
            Kind::FrontEnd => "front-end",
        }
    }

    /// The setting of `bazar shop` that moves its ports.
    pub(crate) fn port_setting(self) -> &'static str {
        match self {
            Kind::Catalog => "CATALOG_PORT",
            Kind::Order => "ORDER_PORT",
            Kind::FrontEnd => "FRONT_END_PORT",
        }
    }
}

/// One server.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub(crate) kind: Kind,
    /// Such as `catalog1`. The only front-end is `front-end`.
    pub(crate) name: String,
    pub(crate) host: String,
    pub(crate) port: u16,
    /// How the other servers reach it.
    pub(crate) address: Address,
}

impl Member {
    /// Where it listens, for those on this machine. A wildcard is reached on `local`.
    pub(crate) fn listens_at(&self, local: &str) -> Address {
        match self.host.as_str() {
            "0.0.0.0" | "::" => Address::of(local, self.port),
            host => Address::of(host, self.port),
        }
    }
}

/// All servers of a shop: catalogs, order servers, front-ends. Order server n has catalog n, after
/// the last one the first again.
#[derive(Clone, Debug)]
pub(crate) struct Topology {
    pub(crate) members: Vec<Member>,
    /// Where each catalog has a folder of its name.
    pub(crate) data: PathBuf,
    /// The first stock; `None`: the one that is built in.
    pub(crate) books: Option<PathBuf>,
    /// The members of etcd that have the books, as a setting; `None`: the folders have them.
    pub(crate) etcd: Option<String>,
}

impl Topology {
    pub(crate) fn of(&self, kind: Kind) -> impl Iterator<Item = &Member> {
        self.members
            .iter()
            .filter(move |member| member.kind == kind)
    }

    /// The arguments with which a server is started.
    pub(crate) fn args(&self, member: &Member) -> Vec<String> {
        let mut args = vec![member.kind.word().to_string(), "--exit-with-stdin".into()];
        let mut option = |name: &str, value: String| args.extend([name.to_string(), value]);
        option("--host", member.host.clone());
        option("--port", member.port.to_string());
        option("--address", member.address.to_string());
        match member.kind {
            Kind::Catalog => {
                if let Some(etcd) = &self.etcd {
                    option("--store", "etcd".into());
                    option("--etcd", etcd.clone());
                } else {
                    let folder = self.data.join(&member.name);
                    option("--data-dir", folder.display().to_string());
                }
                if let Some(books) = &self.books {
                    option("--books", books.display().to_string());
                }
                option(
                    "--catalog-addresses",
                    self.addresses(Kind::Catalog, Some(member)),
                );
                option("--front-end-address", self.addresses(Kind::FrontEnd, None));
            }
            Kind::Order => {
                let catalog = self.catalog_of(member).address.to_string();
                option("--catalog-address", catalog);
            }
            Kind::FrontEnd => {
                option("--catalog-addresses", self.addresses(Kind::Catalog, None));
                option("--order-addresses", self.addresses(Kind::Order, None));
            }
        }
        args
    }

    pub(crate) fn catalog_of(&self, order_server: &Member) -> &Member {
        let catalogs: Vec<&Member> = self.of(Kind::Catalog).collect();
        let n = self
            .of(Kind::Order)
            .position(|other| other.name == order_server.name);
        let n = n.expect("the order server is one of the shop");
        catalogs[n % catalogs.len()]
    }

    /// The addresses of a kind as a setting, but for one server's.
    fn addresses(&self, kind: Kind, but: Option<&Member>) -> String {
        let others = self
            .of(kind)
            .filter(|member| but.is_none_or(|but| but.name != member.name));
        let all: Vec<&str> = others.map(|member| member.address.as_str()).collect();
        all.join("|")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(kind: Kind, name: &str, host: &str, port: u16) -> Member {
        Member {
            kind,
            name: name.into(),
            host: host.into(),
            port,
            address: Address::of("shop.example", port),
        }
    }

    fn topology() -> Topology {
        Topology {
            members: vec![
                member(Kind::Catalog, "catalog1", "::1", 1),
                member(Kind::Catalog, "catalog2", "::1", 2),
                member(Kind::Order, "order1", "::1", 3),
                member(Kind::Order, "order2", "::1", 4),
                member(Kind::Order, "order3", "::1", 5),
                member(Kind::FrontEnd, "front-end", "0.0.0.0", 6),
            ],
            data: "data".into(),
            books: None,
            etcd: None,
        }
    }

    #[track_caller]
    fn check(n: usize, expected: &str) {
        let topology = topology();
        let args = topology.args(&topology.members[n]).join(" ");
        assert!(args.ends_with(expected), "{args}");
    }

    #[test]
    fn each_server_is_told_of_those_that_it_talks_to() {
        let at = |port: u16| format!("http://shop.example:{port}");
        let (one, two, front_end) = (at(1), at(2), at(6));
        check(
            1,
            &format!(
                "--data-dir data/catalog2 --catalog-addresses {one} --front-end-address {front_end}"
            ),
        );
        check(2, &format!("--catalog-address {one}"));
        check(3, &format!("--catalog-address {two}"));
        check(4, &format!("--catalog-address {one}"));
        let orders = [at(3), at(4), at(5)].join("|");
        check(
            5,
            &format!("--catalog-addresses {one}|{two} --order-addresses {orders}"),
        );
    }

    #[test]
    fn a_wildcard_is_reached_on_the_address_of_the_others() {
        let members = topology().members;
        assert_eq!(members[0].listens_at("::1"), Address::of("::1", 1));
        assert_eq!(members[5].listens_at("::1"), Address::of("::1", 6));
    }
}
