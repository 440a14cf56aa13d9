//! Afterwards: nothing was sold twice, nothing lost, and all replicas agree.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::tools::bench::shop::{Account, Line, Shop};

/// How long the replicas may take to become equal once nobody buys any more.
const QUIET_MAX: Duration = Duration::from_secs(20);

/// More problems of one shop are only counted.
const SHOWN_MAX: usize = 5;

/// What was found in one shop.
#[derive(Clone, Debug, Serialize)]
pub struct Check {
    pub shop: String,
    pub replicas: usize,
    pub books: usize,
    pub sold: u64,
    /// Buys whose customer was told neither yes nor no.
    pub unknown: u64,
    /// How many of those did take a copy.
    pub unknown_sold: u64,
    /// Empty when all is well.
    pub problems: Vec<String>,
}

/// Counts the stock of every replica, once they are equal or have had [`QUIET_MAX`] to become so.
///
/// Fails when a catalog does not answer.
pub fn check(shop: &Shop, name: &str) -> Result<Check, String> {
    let until = Instant::now() + QUIET_MAX;
    let mut dumps = dumps(shop)?;
    while !are_equal(&dumps) && Instant::now() < until {
        thread::sleep(Duration::from_millis(20));
        dumps = self::dumps(shop)?;
    }
    let stock = dumps.first().map(Vec::as_slice).unwrap_or_default();
    let mut found = audit(&shop.books(), stock);
    found.shop = name.to_string();
    found.replicas = dumps.len();
    if !are_equal(&dumps) {
        found.problems.push("the replicas are not equal".into());
    }
    Ok(found)
}

fn dumps(shop: &Shop) -> Result<Vec<Vec<Line>>, String> {
    shop.catalogs.iter().map(|one| shop.dump(one)).collect()
}

fn are_equal(dumps: &[Vec<Line>]) -> bool {
    dumps.windows(2).all(|pair| pair[0] == pair[1])
}

/// Holds the accounts against the stock.
fn audit(accounts: &BTreeMap<u64, Account>, stock: &[Line]) -> Check {
    let stock: BTreeMap<u64, u64> = stock.iter().map(|line| (line.id, line.quantity)).collect();
    let mut check = Check {
        shop: String::new(),
        replicas: 0,
        books: accounts.len(),
        sold: 0,
        unknown: 0,
        unknown_sold: 0,
        problems: Vec::new(),
    };
    let mut wrong = 0;
    for (id, account) in accounts {
        check.sold += account.sales.sold;
        check.unknown += account.sales.unknown;
        match missing(account, stock.get(id).copied().unwrap_or(0)) {
            Ok(taken) => check.unknown_sold += taken,
            Err(problem) if wrong < SHOWN_MAX => {
                wrong += 1;
                check.problems.push(format!("book {id}: {problem}"));
            }
            Err(_) => wrong += 1,
        }
    }
    if SHOWN_MAX < wrong {
        check
            .problems
            .push(format!("{wrong} books in all are wrong"));
    }
    check
}

/// The copies that are gone without anybody having been told so: between none and the buys of
/// unknown outcome.
fn missing(account: &Account, stock: u64) -> Result<u64, String> {
    let Account {
        start,
        added,
        sales,
    } = account;
    let gone = (start + added).checked_sub(stock + sales.sold);
    gone.filter(|gone| *gone <= sales.unknown).ok_or_else(|| {
        format!(
            "{} sold and {stock} left of {}, {} unknown",
            sales.sold,
            start + added,
            sales.unknown
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tools::bench::take::Sales;

    #[track_caller]
    fn problems(sold: u64, unknown: u64, left: u64) -> usize {
        let account = Account {
            start: 10,
            added: 90,
            sales: Sales { sold, unknown },
        };
        let line = Line {
            id: 1,
            quantity: left,
            price: 1.0,
            sequence_number: 1,
            title: String::new(),
            topic: String::new(),
        };
        audit(&[(1, account)].into(), &[line]).problems.len()
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
