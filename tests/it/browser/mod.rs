//! The pages in a real browser: Chromium, driven by `webdriver`. `checks` says of any page whether
//! everybody can read and use it.
//!
//! Without Chromium and chromedriver these tests are skipped and say so, but in `.ci/run`.

mod checks;
mod cluster_page;
mod shop_page;
mod webdriver;
