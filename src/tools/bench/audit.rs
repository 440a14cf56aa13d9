//! After the load: `bazar audit`, and what the customers know. The shop's own ledger proves that
//! nothing was lost between two changes; the customers know how much they were told they bought.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::model::audit::BookAudit;
use crate::tools::harness::shop::{Account, Shop};

/// The most that is described of what is wrong in a shop; more is only counted.
const DESCRIBED_MAX: usize = 5;

/// What was found in one shop.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Audit {
    pub(super) shop: String,
    pub(super) replicas: usize,
    pub(super) books: usize,
    pub(super) sold: u64,
    /// Buys without an answer that tells their outcome.
    pub(super) unknown: u64,
    /// How many of those did take a copy.
    pub(super) unknown_sold: u64,
    /// Empty when all is well.
    pub(super) problems: Vec<String>,
}

/// Audits the shop, and compares its stock with what the customers bought. A shop that cannot be
/// audited, because a catalog does not answer, has a problem.
pub(super) fn audit(shop: &Shop, name: &str) -> Audit {
    let mut found = match shop.audit() {
        Ok(findings) => {
            let mut found = compare(&shop.accounts(), &findings.books);
            found.problems.extend(findings.wrong());
            found
        }
        Err(why) => Audit {
            problems: vec![format!("no audit: {why}")],
            ..Audit::default()
        },
    };
    let count = found.problems.len();
    if DESCRIBED_MAX < count {
        found.problems.truncate(DESCRIBED_MAX);
        found.problems.push(format!("{count} problems in all"));
    }
    found.shop = name.to_string();
    found.replicas = shop.catalogs.len();
    found
}

/// Compares the customers' accounts with the audited stock.
fn compare(accounts: &BTreeMap<u64, Account>, books: &[BookAudit]) -> Audit {
    let quantity = |book: &BookAudit| u64::try_from(book.quantity).unwrap_or(0);
    let stock: BTreeMap<u64, u64> = books
        .iter()
        .map(|book| (book.id.0, quantity(book)))
        .collect();
    let mut found = Audit {
        books: accounts.len(),
        ..Audit::default()
    };
    for (id, account) in accounts {
        found.sold += account.sales.sold;
        found.unknown += account.sales.unknown;
        match sold_unknown(account, stock.get(id).copied().unwrap_or(0)) {
            Ok(copies) => found.unknown_sold += copies,
            Err(problem) => found.problems.push(format!("book {id}: {problem}")),
        }
    }
    found
}

/// The copies that are missing from `stock` beyond the known sales. Fails unless that is between
/// none and the buys of unknown outcome.
fn sold_unknown(account: &Account, stock: u64) -> Result<u64, String> {
    let (supplied, sales) = (account.start + account.added, account.sales);
    let missing = supplied.checked_sub(stock + sales.sold);
    missing
        .filter(|copies| *copies <= sales.unknown)
        .ok_or_else(|| {
            format!(
                "{} sold and {stock} left of {supplied}, {} unknown",
                sales.sold, sales.unknown
            )
        })
}

#[cfg(test)]
mod tests {
    use super::compare;
    use crate::model::audit::BookAudit;
    use crate::model::book::BookId;
    use crate::tools::harness::measurement::Sales;
    use crate::tools::harness::shop::Account;

    #[track_caller]
    fn problems(sold: u64, unknown: u64, left: i64) -> usize {
        let account = Account {
            start: 10,
            added: 90,
            sales: Sales { sold, unknown },
        };
        let book = BookAudit {
            id: BookId(1),
            quantity: left,
            ..BookAudit::default()
        };
        compare(&[(1, account)].into(), &[book]).problems.len()
    }

    #[test]
    fn what_is_sold_must_be_missing_from_the_stock() {
        assert_eq!(problems(30, 0, 70), 0);
        assert_eq!(problems(30, 0, 71), 1, "sold, and still there");
        assert_eq!(problems(30, 0, 69), 1, "gone, and sold to nobody");
    }

    #[test]
    fn an_unknown_buy_takes_one_copy_or_none() {
        assert_eq!(problems(30, 2, 70), 0);
        assert_eq!(problems(30, 2, 68), 0);
        assert_eq!(problems(30, 2, 67), 1);
    }
}
