//! The cluster page, as somebody sees it who teaches or learns replication.

use std::thread;
use std::time::{Duration, Instant};

use super::checks::{FINGER, MOUSE, check_calm, check_for_everybody, check_looks};
use super::webdriver::Browser;
use crate::cluster_page::Page;
use crate::harness::etcd;
use crate::harness::process::eventually;

/// Ten times what the longest one takes.
const STORY_MAX: Duration = Duration::from_secs(200);

/// The stories without the one of the cut.
const STORIES: usize = 13;

/// A browser at the page of a new shop. `None`: there is no browser.
#[track_caller]
fn opened(args: &[&str]) -> Option<(Browser, Page)> {
    let browser = Browser::started()?;
    let page = Page::open_with(args);
    browser.open(&url(&page));
    browser.find("#count", "5 of 5 up");
    browser.find("#sum.true", "stock + sold = start");
    Some((browser, page))
}

/// The stories of a shop whose books are in etcd: what is not about how catalogs agree.
const STORIES_ON_ETCD: usize = 6;

fn url(page: &Page) -> String {
    format!("http://{}", page.address)
}

/// The story of this number goes on to its end, and leaves a shop that is whole.
#[track_caller]
fn tell(browser: &Browser, number: usize) {
    let began = Instant::now();
    let button = format!("#story-list button:nth-child({number})");
    browser.click(&button, "");
    let title = browser.script("return document.querySelector('#story-title').textContent");
    let next = || browser.script("return document.getElementById('story-next').textContent");
    while next() != "The end" {
        let can = browser.script("return !document.getElementById('story-next').disabled");
        if can == true {
            browser.click("#story-next", "");
        }
        assert!(began.elapsed() < STORY_MAX, "{title}: {}", browser.page());
        thread::sleep(Duration::from_millis(50));
    }
    let story = browser.script("return document.getElementById('story').innerText");
    let story = story.as_str().unwrap();
    let errors = browser.script("return document.querySelectorAll('.story .error').length");
    assert_eq!(errors, 0, "{title}: {story}");
    let wrong = [
        "takes longer than it should",
        "undefined",
        "null",
        "number ?",
    ];
    for wrong in wrong {
        assert!(!story.contains(wrong), "{title}: {wrong} in {story}");
    }
    assert!(story.contains("Notice: "), "{title}: {story}");
    browser.find("#trace-list li", "→");
    browser.click("#story-close", "Leave the story");
    browser.find("#count", "5 of 5 up");
    browser.find("#sum.true", "stock + sold = start");
}

/// Every third story from this one on.
#[track_caller]
fn tell_every_third(first: usize) {
    let Some((browser, page)) = opened(&[]) else {
        return;
    };
    let stories = browser.script("return document.querySelectorAll('#story-list button').length");
    assert_eq!(stories, STORIES);
    for number in (first..=STORIES).step_by(3) {
        tell(&browser, number);
    }
    check_calm(&browser, &url(&page));
    page.shop.stop();
}

#[test]
fn the_first_stories_go_on_to_their_end() {
    tell_every_third(1);
}

#[test]
fn the_second_stories_go_on_to_their_end() {
    tell_every_third(2);
}

#[test]
fn the_third_stories_go_on_to_their_end() {
    tell_every_third(3);
}

#[test]
fn a_cut_and_its_healing_are_seen_and_told() {
    let Some((browser, page)) = opened(&["--demo"]) else {
        return;
    };
    browser.click("#link-catalog1-catalog2 button", "Cut");
    browser.find("#link-catalog1-catalog2 .pill", "cut");
    browser.find("#card-catalog1 .no", "catalog2 not live");
    browser.find("#card-catalog2 .no", "catalog1 not live");
    browser.click("#link-catalog1-catalog2 button", "Heal");
    browser.find("#card-catalog1 .facts", "✓ catalog2 live");
    browser.find("#events li", "cut the link between catalog1 and catalog2");
    tell(&browser, STORIES + 1);
    check_calm(&browser, &url(&page));
    page.shop.stop();
}

#[test]
fn a_kill_and_the_way_back_are_seen() {
    let Some((browser, page)) = opened(&[]) else {
        return;
    };
    browser.click(".switch", "Restart what dies");
    browser.click("#card-catalog2 button", "Kill");
    browser.find("#card-catalog2 .pill", "down, signal 9");
    browser.find("#card-catalog2 .shown", "Its last words");
    browser.find("#card-order2 .no", "asks catalog2, which is not ready");
    browser.find("#card-catalog1 .no", "catalog2 not live");
    browser.find("#sum.true", "on 1 of 2 replicas");
    browser.click("#card-catalog2 button", "Start");
    browser.find("#card-catalog2 .pill", "up");
    browser.find("#card-catalog2 .facts", "✓ caught up");
    browser.find("#sum.true", "on both replicas");
    browser.find("#events li", "catalog2 ended (signal 9); restarting is off");
    check_calm(&browser, &url(&page));
    page.shop.stop();
}

#[test]
fn a_buys_messages_are_stepped_through_between_the_boxes() {
    let Some((browser, page)) = opened(&[]) else {
        return;
    };
    browser.click("#trace-send button", "Buy book 2");
    browser.find("#trace-title", "PUT /buy/2: 200");
    browser.find("#trace-list li", "puts the new copy on the other's disk");
    let now = || browser.script("return document.getElementById('trace-now').textContent");
    let last = now();
    browser.click("#trace-back", "Back");
    assert_ne!(now(), last);
    browser.find("#arrows .now", "");
    let ends = browser.script("return document.querySelectorAll('.tiers .talks').length");
    assert_eq!(ends, 2);
    browser.click("#trace-step", "Step");
    assert_eq!(now(), last);
    browser.click("#trace-play", "Play");
    eventually("all is played", || now() == last);
    browser.click("#trace-list summary", "customer → front-end");
    browser.find("#trace-list pre", "PUT /buy/2 HTTP/1.1");
    browser.find("#trace-list dt", "status");
    browser.click("#trace-list summary", "writes the book");
    browser.find("#trace-list pre", "\"quantity\":4");
    check_calm(&browser, &url(&page));
    page.shop.stop();
}

/// etcd has no box: what goes there is in the diagram and the list, and is no arrow to a customer.
#[test]
fn a_buys_messages_to_etcd_have_a_column_of_their_own() {
    if !etcd::is_installed() {
        return;
    }
    let Some((browser, page)) = opened(&["--etcd"]) else {
        return;
    };
    browser.click("#trace-send button", "Buy book 2");
    browser.find("#trace-title", "PUT /buy/2: 200");
    browser.find(
        "#trace-list li",
        "makes the front-end drop what it has cached",
    );
    browser.find("#trace-list li", "catalog1 → etcd, POST /v3/kv/txn");
    browser.find("#trace-svg .column", "etcd");
    let is_left_out = "return [...document.querySelectorAll('#trace-svg .label')]
        .some((label) => label.getAttribute('x') < 0)";
    assert_eq!(browser.script(is_left_out), false);
    let to_etcd = || {
        let text = browser.script("return document.getElementById('trace-now').textContent");
        text.as_str().unwrap().contains("→ etcd")
    };
    while !to_etcd() {
        browser.click("#trace-back", "Back");
    }
    let arrows = browser.script("return document.querySelectorAll('#arrows .now').length");
    assert_eq!(arrows, 0);
    check_calm(&browser, &url(&page));
    page.shop.stop();
}

#[test]
fn the_stories_on_etcd_go_on_to_their_end() {
    if !etcd::is_installed() {
        return;
    }
    let Some((browser, page)) = opened(&["--etcd"]) else {
        return;
    };
    browser.find("#story-etcd", "The books of this shop are in etcd");
    let stories = browser.script("return document.querySelectorAll('#story-list button').length");
    assert_eq!(stories, STORIES_ON_ETCD);
    for number in 1..=STORIES_ON_ETCD {
        tell(&browser, number);
    }
    check_calm(&browser, &url(&page));
    page.shop.stop();
}

#[test]
fn everybody_can_use_the_page_at_any_size_by_day_and_by_night() {
    let Some((browser, page)) = opened(&["--demo"]) else {
        return;
    };
    browser.click("#trace-send button", "Buy book 2");
    browser.find("#trace-title", "PUT /buy/2: 200");
    check_for_everybody(&browser);
    // One server down, one silent, one link cut: all that a page can look like.
    page.post("/restarting/off");
    page.post("/servers/order2/kill");
    page.post("/links/catalog1/catalog2/cut");
    browser.find("#card-order2 .pill", "down");
    browser.find("#card-catalog1 .no", "catalog2 not live");
    browser.script("document.activeElement.blur(); scrollTo(0, 0)");
    for (width, height, target) in [(360, 780, FINGER), (800, 900, MOUSE), (1600, 1000, MOUSE)] {
        for scheme in ["light", "dark"] {
            browser.show_as(width, height, scheme);
            let name = format!("cluster-{width}-{scheme}");
            check_looks(&browser, &name, target);
            browser.screenshot(&name);
        }
    }
    check_calm(&browser, &url(&page));
    page.shop.stop();
}

#[test]
fn what_the_servers_could_not_do_is_said() {
    let Some((browser, page)) = opened(&[]) else {
        return;
    };
    browser.find("#sum.true", "on both replicas");
    page.post("/restarting/off");
    for name in ["catalog1", "catalog2"] {
        page.post(&format!("/servers/{name}/kill"));
        browser.find(&format!("#card-{name} .pill"), "down");
    }
    browser.click("#restock", "Add 10 of each");
    browser.find("#failed", "That was not done: No catalog has added");
    check_calm(&browser, &url(&page));
    page.shop.stop();
}

#[test]
fn the_page_with_customers_is_the_picture_of_the_readme() {
    let Some((browser, page)) = opened(&[]) else {
        return;
    };
    browser.show_as(1280, 940, "light");
    page.post("/load?customers=4&buys=50");
    eventually("the curves have a shape", || {
        let seconds = page.state()["load"]["seconds"].as_array().map(Vec::len);
        Some(12) <= seconds
    });
    browser.click("#trace-send button", "Look up book 2");
    browser.find("#trace-title", "GET /lookup/2: 200");
    browser.click("#trace-send button", "Buy book 2");
    browser.find("#trace-title", "PUT /buy/2: 200");
    browser.find("#sum.true", "on both replicas");
    browser.script("document.activeElement.blur(); scrollTo(0, 0)");
    browser.screenshot("cluster");
    check_calm(&browser, &url(&page));
    page.shop.stop();
}
