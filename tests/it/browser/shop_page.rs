//! The shop page, as a customer sees it.

use serde_json::json;

use super::checks::{FINGER, check_calm, check_for_everybody, check_looks};
use super::webdriver::{Browser, ENTER, TAB};
use crate::harness::process::eventually;
use crate::harness::shop::{Shop, ShopOptions};

const RPCS: &str = "RPCs for Dummies";

/// A browser at the page of a new shop. `None`: there is no browser.
#[track_caller]
fn opened(options: ShopOptions) -> Option<(Browser, Shop)> {
    let browser = Browser::started()?;
    let shop = Shop::started(options);
    browser.open(&shop.front_end().url());
    browser.find("h1", "Bazar");
    Some((browser, shop))
}

/// Types into the search field, which has the focus at first.
#[track_caller]
fn search(browser: &Browser, text: &str) {
    browser.script("document.getElementById('text').focus()");
    browser.script("document.getElementById('text').select()");
    browser.press(text);
}

#[track_caller]
fn open_rpcs(browser: &Browser, stock: &str) {
    browser.click(".title", RPCS);
    browser.find(".stock", stock);
}

#[test]
fn a_customer_searches_as_they_type_and_buys_until_the_last_copy_is_sold() {
    let Some((browser, shop)) = opened(ShopOptions::default()) else {
        return;
    };
    shop.stock_up(2, 2);
    browser.find("#found", "A look at our shelves");
    browser.press("distrib");
    browser.find("#found", "2 books");
    browser.find("h2", "Distributed Systems");
    browser.find(".title", "How to get a good grade");
    open_rpcs(&browser, "2 copies");
    browser.find(".price", "50.00");
    browser.click(".buy", "Buy");
    browser.find(".stock", "1 copy, the last");
    browser.find(".said", "Thank you! Your order’s number");
    browser.click(".buy", "Buy");
    browser.find(".stock", "none, sold out");
    browser.find(".buy[aria-disabled=true]", "Sold out");
    let numbers = "return [...document.querySelectorAll('#orders .number')]
        .map((it) => it.textContent)";
    let numbers = browser.script(numbers);
    assert_eq!(numbers.as_array().unwrap().len(), 2, "{numbers}");
    assert_ne!(numbers[0], numbers[1]);
    assert_eq!(shop.quantities(2), [0, 0]);
    search(&browser, "zzz");
    browser.find("#found", "No book has “zzz” in its topic or title");
    check_calm(&browser, &shop.front_end().url());
}

#[test]
fn a_copy_that_somebody_else_bought_first_is_sold_out() {
    let Some((browser, shop)) = opened(ShopOptions::default()) else {
        return;
    };
    shop.stock_up(2, 1);
    open_rpcs(&browser, "1 copy, the last");
    assert!(shop.buy(2).is_purchase());
    browser.click(".buy", "Buy");
    browser.find(
        ".trouble",
        "Somebody was faster, and you have not bought a copy",
    );
    browser.find(".stock", "none, sold out");
    check_calm(&browser, &shop.front_end().url());
}

#[test]
fn pressing_again_after_an_error_buys_once() {
    let options = ShopOptions {
        default_timeouts: true,
        environment: vec![("LOG", "debug".into())],
        ..ShopOptions::default()
    };
    let Some((browser, shop)) = opened(options) else {
        return;
    };
    open_rpcs(&browser, "5 copies");
    shop.orders().iter().for_each(|order| order.stop());
    browser.click(".buy", "Buy");
    browser.find(".trouble", "We do not know whether your order arrived");
    // A reload must not forget the order.
    browser.open(&shop.front_end().url());
    browser.click(".title", RPCS);
    browser.find(".trouble", "We do not know whether your order arrived");
    shop.orders().iter().for_each(|order| order.cont());
    eventually("the shop is ready", || {
        shop.front_end().get("/readyz").status == 200
    });
    browser.click(".buy", "Ask again");
    browser.find(".said", "Thank you!");
    browser.find(".stock", "4 copies");
    assert_eq!(shop.quantities(2), [4, 4]);
    check_calm(&browser, &shop.front_end().url());
}

#[test]
fn servers_that_are_down_are_told_in_the_customers_words() {
    let Some((browser, shop)) = opened(ShopOptions::default()) else {
        return;
    };
    open_rpcs(&browser, "5 copies");
    shop.orders().iter().for_each(|order| order.kill());
    browser.click(".buy", "Buy");
    browser.find(
        ".trouble",
        "The shop cannot take orders right now. Nothing was bought.",
    );
    browser.find(
        ".trouble .small",
        "Could not connect to a server to buy (504)",
    );
    shop.catalogs().iter().for_each(|catalog| catalog.kill());
    search(&browser, "school");
    browser.find("#trouble", "The shop cannot reach its shelves right now");
    shop.front_end().kill();
    search(&browser, "life");
    browser.find("#trouble", "The shop does not answer");
    for server in shop.servers() {
        server.launch();
    }
    shop.servers().for_each(|server| server.await_ready());
    browser.click("#trouble button", "Try again");
    browser.find(".title", "Spring in the Pioneer Valley");
    check_calm(&browser, &shop.front_end().url());
}

#[test]
fn a_title_with_markup_in_it_is_text() {
    let Some((browser, shop)) = opened(ShopOptions::default()) else {
        return;
    };
    let title = "<img src=x onerror=\"document.title='caught'\"><script>document.title=1</script>";
    let topic = "</h2><b>Markup</b> &amp;";
    let change = json!({"title": title, "topic": topic}).to_string();
    assert_eq!(shop.catalog(1).put("/update/2", &change).status, 200);
    search(&browser, "</h2>");
    browser.find("h2", topic);
    browser.click(".title", title);
    browser.click(".buy", "Buy");
    browser.find("#orders li", title);
    assert_eq!(
        browser.script("return document.title"),
        "Bazar, an online book store"
    );
    let markup = "return document.querySelectorAll('#topics img, #topics b, #orders img').length";
    assert_eq!(browser.script(markup), 0);
    check_calm(&browser, &shop.front_end().url());
}

#[test]
fn a_customer_who_knows_the_title_finds_the_book() {
    let Some((browser, shop)) = opened(ShopOptions::default()) else {
        return;
    };
    browser.press("xen and");
    browser.find("#found", "1 book");
    browser.find(".title", "Xen and the Art");
    // Both by its topic and by its title, and there once.
    search(&browser, "graduate");
    browser.find("#found", "2 books");
    let titles = browser.script("return document.querySelectorAll('.title').length");
    assert_eq!(titles, 2);
    check_calm(&browser, &shop.front_end().url());
}

#[test]
fn many_books_come_page_by_page() {
    let Some((browser, shop)) = opened(ShopOptions::default()) else {
        return;
    };
    let book = |n: usize| {
        // Some are found by their topic, some by their title.
        let (title, topic) = match n % 3 {
            0 => (format!("Volume {n}"), "Encyclopedia"),
            _ => (format!("Encyclopedia {n}"), "Reference"),
        };
        json!({"title": title, "topic": topic, "quantity": 1, "price": 1})
    };
    let books: Vec<_> = (1..=130).map(book).collect();
    let added = shop
        .catalog(1)
        .call("POST", "/add", &[], &json!(books).to_string());
    assert_eq!(added.status, 200, "{added:?}");
    search(&browser, "encyclo");
    browser.find("#found", "The first 60 books");
    browser.click("#more", "Show more books");
    browser.find("#found", "The first 120 books");
    let focus = browser.script("return document.activeElement.textContent");
    assert_eq!(
        focus, "Encyclopedia 61",
        "the keyboard goes on where the new books begin"
    );
    browser.click("#more", "Show more books");
    browser.find("#found", "130 books");
    let titles = browser.script("return document.querySelectorAll('.title').length");
    assert_eq!(titles, 130);
    assert_eq!(
        browser.script("return document.getElementById('more').hidden"),
        true
    );
    check_calm(&browser, &shop.front_end().url());
}

#[test]
fn a_slow_shop_says_that_it_is_slow_and_answers_in_the_end() {
    let Some((browser, shop)) = opened(ShopOptions::default()) else {
        return;
    };
    open_rpcs(&browser, "5 copies");
    shop.orders().iter().for_each(|order| order.stop());
    browser.click(".buy", "Buy");
    browser.find(".said", "This takes longer than usual. Please wait");
    browser.find(".buy[aria-disabled=true]", "Ordering…");
    // Pressing meanwhile is no second order.
    browser.click(".buy", "Ordering…");
    shop.orders().iter().for_each(|order| order.cont());
    browser.find("#orders li", RPCS);
    browser.find(".stock", "4 copies");
    assert_eq!(shop.quantities(2), [4, 4]);
    check_calm(&browser, &shop.front_end().url());
}

#[test]
fn the_last_of_several_questions_wins() {
    let Some((browser, shop)) = opened(ShopOptions::default()) else {
        return;
    };
    // The first question's answer comes last, whether it is ended or not.
    browser.script(
        "const real = window.fetch;
         window.fetch = async (path, options) => {
             const slow = path.includes('school');
             const { signal, ...rest } = options;
             const answer = await real(path, rest);
             if (slow) await new Promise((done) => setTimeout(() => done(window.late = 1), 700));
             return answer;
         };",
    );
    search(&browser, "school");
    // Longer than typing pauses.
    eventually("the first question is asked", || {
        browser.script("return location.search") == "?topic=school"
    });
    search(&browser, "life");
    browser.find(".title", "Spring in the Pioneer Valley");
    eventually("the first answer is here", || {
        browser.script("return window.late") == 1
    });
    browser.find("#found", "1 book");
    browser.find("h2", "Developer Life");
    check_calm(&browser, &shop.front_end().url());
}

#[test]
fn everybody_can_use_the_page_at_any_size_by_day_and_by_night() {
    let Some((browser, shop)) = opened(ShopOptions::default()) else {
        return;
    };
    // By keyboard alone: from the search field to the first book, opened and bought.
    browser.press("distrib");
    // A part of the word finds the same, and what comes later closes what is open.
    eventually("the whole word is searched for", || {
        let answered = "return performance.getEntriesByType('resource')
            .some((it) => it.name.includes('/search/distrib?'))";
        browser.script(answered) == true
    });
    browser.find("#found", "2 books");
    browser.press(&format!("{TAB}{ENTER}"));
    browser.find(".stock", "10 copies");
    browser.press(&format!("{TAB}{ENTER}"));
    browser.find(".said", "Thank you!");
    let focus = browser.script("return document.activeElement.className");
    assert_eq!(focus, "buy", "the focus stays where it was");
    search(&browser, "s");
    browser.find("#found", "7 books");
    check_for_everybody(&browser);
    shop.orders().iter().for_each(|order| order.kill());
    browser.click(".title", "Why theory classes are so hard");
    browser.click("#offer-6 .buy:not([aria-disabled=true])", "Buy");
    browser.find(".trouble", "Nothing was bought");
    browser.script("document.activeElement.blur(); scrollTo(0, 0)");
    for (width, height) in [(360, 780), (800, 900), (1600, 1000)] {
        for scheme in ["light", "dark"] {
            browser.show_as(width, height, scheme);
            let name = format!("shop-{width}-{scheme}");
            check_looks(&browser, &name, FINGER);
            browser.screenshot(&name);
        }
    }
    // The picture of `README.md`.
    browser.show_as(900, 560, "light");
    search(&browser, "graduate");
    browser.find("#found", "2 books");
    browser.click(".title", "Xen and the Art");
    browser.find(".stock", "10 copies");
    browser.script("document.activeElement.blur(); scrollTo(0, 0)");
    browser.screenshot("shop");
    check_calm(&browser, &shop.front_end().url());
}
