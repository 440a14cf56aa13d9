//! After the load: no sale was lost, no copy was sold twice, and all replicas agree.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::tools::harness::shop::{Account, DumpedBook, Shop};

/// The replicas have this long to become equal once nobody buys any more.
const CONVERGENCE_MAX: Duration = Duration::from_secs(20);

/// The most wrong books of a shop that are described; more are only counted.
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

/// Compares the stock of every replica with the sales, once the replicas are equal or have had
/// [`CONVERGENCE_MAX`] to become so.
///
/// Fails when a catalog does not answer.
pub(super) fn audit(shop: &Shop, name: &str) -> Result<Audit, String> {
    let deadline = Instant::now() + CONVERGENCE_MAX;
    let mut dumps = dumps(shop)?;
    while !are_equal(&dumps) && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(20));
        dumps = self::dumps(shop)?;
    }
    let stock = dumps.first().map(Vec::as_slice).unwrap_or_default();
    let mut found = compare(&shop.accounts(), stock);
    found.shop = name.to_string();
    found.replicas = dumps.len();
    if !are_equal(&dumps) {
        found.problems.push("the replicas are not equal".into());
    }
    Ok(found)
}

fn dumps(shop: &Shop) -> Result<Vec<Vec<DumpedBook>>, String> {
    shop.catalogs.iter().map(|one| shop.dump(one)).collect()
}

fn are_equal(dumps: &[Vec<DumpedBook>]) -> bool {
    dumps.windows(2).all(|pair| pair[0] == pair[1])
}

/// Compares the accounts with the stock.
fn compare(accounts: &BTreeMap<u64, Account>, stock: &[DumpedBook]) -> Audit {
    let stock: BTreeMap<u64, u64> = stock.iter().map(|book| (book.id, book.quantity)).collect();
    let mut found = Audit {
        books: accounts.len(),
        ..Audit::default()
    };
    let mut wrong = Vec::new();
    for (id, account) in accounts {
        found.sold += account.sales.sold;
        found.unknown += account.sales.unknown;
        let quantity = stock.get(id).copied().unwrap_or(0);
        match sold_unknown(account, quantity) {
            Ok(copies) => found.unknown_sold += copies,
            Err(problem) => wrong.push(format!("book {id}: {problem}")),
        }
    }
    let count = wrong.len();
    if DESCRIBED_MAX < count {
        wrong.truncate(DESCRIBED_MAX);
        wrong.push(format!("{count} books in all are wrong"));
    }
    found.problems = wrong;
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
    use crate::tools::harness::measurement::Sales;
    use crate::tools::harness::shop::{Account, DumpedBook};

    #[track_caller]
    fn problems(sold: u64, unknown: u64, left: u64) -> usize {
        let account = Account {
            start: 10,
            added: 90,
            sales: Sales { sold, unknown },
        };
        let book = DumpedBook {
            id: 1,
            quantity: left,
            price: 1.0,
            sequence_number: 1,
            title: String::new(),
            topic: String::new(),
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
