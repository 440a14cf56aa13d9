//! What must hold on every page: what a screen reader says, contrast, keyboard, widths, and no
//! trace of another host. The rules are those of WCAG 2.2 (AA), as far as a script can tell.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::webdriver::{Browser, TAB};

/// What can be operated now.
const CONTROLS: &str = ":is(button, input, select, summary, a[href]):not(:disabled)";

/// More stops than any page has.
const STOPS_MAX: usize = 200;

/// What a control is called. Not by its place: the page may change meanwhile.
const NAME_OF: &str = "const nameOf = (it) => [it.tagName, it.id, it.getAttribute('aria-label')
    ?? it.textContent.trim().slice(0, 60)].join(' ');";

/// Texts whose contrast with what is behind them is too low: 4.5, or 3 for large ones. What is
/// switched off may be quiet (WCAG 1.4.3).
const LOW_CONTRASTS: &str = r"
    const rgba = (text) => {
        const numbers = text.match(/[\d.]+/g).map(Number);
        return numbers.length === 3 ? [...numbers, 1] : numbers;
    };
    const luminance = (color) => {
        const linear = color.slice(0, 3).map((it) => it / 255)
            .map((it) => it <= 0.04045 ? it / 12.92 : ((it + 0.055) / 1.055) ** 2.4);
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
    };
    const behind = (element) => {
        for (let it = element; it; it = it.parentElement) {
            const color = rgba(getComputedStyle(it).backgroundColor);
            if (color[3] === 1) return color;
        }
        return [255, 255, 255, 1];
    };
    const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    const low = [];
    let count = 0;
    while (texts.nextNode()) {
        const element = texts.currentNode.parentElement;
        const text = texts.currentNode.textContent.trim();
        const isOff = element.closest('[aria-disabled=true], :disabled');
        if (!text || !element.checkVisibility() || isOff) continue;
        count += 1;
        const style = getComputedStyle(element);
        const both = [luminance(rgba(style.color)), luminance(behind(element))];
        const ratio = (Math.max(...both) + 0.05) / (Math.min(...both) + 0.05);
        const size = parseFloat(style.fontSize);
        const isLarge = 24 <= size || 18.66 <= size && 700 <= style.fontWeight;
        if (ratio < (isLarge ? 3 : 4.5)) low.push(`${text}: ${ratio.toFixed(2)}`);
    }
    return {low, count};";

/// What is wrong with the structure.
const STRUCTURE: &str = r"
    const wrong = [];
    const all = [...document.querySelectorAll('*')];
    if (!document.documentElement.lang) wrong.push('no language');
    if (!document.title) wrong.push('no title');
    if (document.querySelectorAll('main').length !== 1) wrong.push('not one main');
    const headings = all.filter((it) => /^H[1-6]$/.test(it.tagName) && it.checkVisibility());
    let level = 0;
    for (const heading of headings) {
        const next = Number(heading.tagName[1]);
        if (level + 1 < next) wrong.push(`${heading.tagName} ${heading.textContent} skips a level`);
        level = next;
    }
    if (headings.filter((it) => it.tagName === 'H1').length !== 1) wrong.push('not one h1');
    const ids = all.map((it) => it.id).filter((id) => id);
    if (new Set(ids).size !== ids.length) wrong.push('an id is there twice');
    for (const name of ['aria-controls', 'aria-labelledby', 'aria-describedby', 'for']) {
        for (const it of document.querySelectorAll(`[${name}]`)) {
            const id = it.getAttribute(name);
            if (!document.getElementById(id)) wrong.push(`${name}=${id} leads nowhere`);
        }
    }
    for (const it of document.querySelectorAll('[onclick], [style], script:not([src]), style')) {
        wrong.push(`inline: ${it.outerHTML}`);
    }
    return wrong;";

/// Everything below but what depends on the size.
#[track_caller]
pub fn check_for_everybody(browser: &Browser) {
    let wrong = browser.script(STRUCTURE);
    assert_eq!(wrong, json!([]));
    check_labels(browser);
    check_keyboard(browser);
}

/// Every control has a name.
#[track_caller]
fn check_labels(browser: &Browser) {
    let shown = format!(
        "return [...document.querySelectorAll({})].filter((it) => it.checkVisibility())",
        json!(CONTROLS)
    );
    let controls = browser.script(&shown);
    let controls = controls.as_array().expect("a list");
    assert!(!controls.is_empty());
    for control in controls {
        assert_ne!(browser.label(control), "", "{control}");
    }
}

/// The tabulator reaches every control that is shown, and where the focus is can be seen.
#[track_caller]
fn check_keyboard(browser: &Browser) {
    let shown = format!(
        "{NAME_OF} return [...document.querySelectorAll({})]
            .filter((it) => it.checkVisibility()).map(nameOf)",
        json!(CONTROLS)
    );
    let names = |value: Value| -> BTreeSet<String> {
        let names = value.as_array().expect("a list").iter();
        names
            .filter_map(|name| name.as_str().map(str::to_string))
            .collect()
    };
    let wanted = names(browser.script(&shown));
    let mut reached = BTreeSet::new();
    browser.script("document.activeElement.blur()");
    for _ in 0..STOPS_MAX {
        browser.press(TAB);
        let focus = browser.script(&format!(
            "{NAME_OF} const it = document.activeElement;
             const style = getComputedStyle(it);
             const width = style.outlineStyle === 'none' ? 0 : parseFloat(style.outlineWidth);
             return [nameOf(it), width]"
        ));
        let name = focus[0].as_str().expect("a name").to_string();
        if !wanted.contains(&name) {
            // Beyond the last one: the page itself.
            continue;
        }
        assert!(
            2.0 <= focus[1].as_f64().unwrap(),
            "no focus is seen at {name}"
        );
        reached.insert(name);
        if reached.len() == wanted.len() {
            return;
        }
    }
    let missed: Vec<_> = wanted.difference(&reached).collect();
    panic!("the keyboard does not reach {missed:?}");
}

/// What a finger needs.
pub const FINGER: u32 = 44;

/// What a mouse needs (WCAG 2.5.8).
pub const MOUSE: u32 = 24;

/// Nothing is wider than the window, buttons are so large in pixels, and texts can be read. A box
/// to tick is as large as its label.
#[track_caller]
pub fn check_looks(browser: &Browser, what: &str, target: u32) {
    let contrasts = browser.script(LOW_CONTRASTS);
    assert_eq!(contrasts["low"], json!([]), "{what}");
    assert!(
        3 < contrasts["count"].as_u64().unwrap(),
        "{what}: {contrasts}"
    );
    let widths = browser.script(
        "return [document.scrollingElement.scrollWidth, document.documentElement.clientWidth]",
    );
    assert_eq!(widths[0], widths[1], "{what} is wider than the window");
    let small = browser.script(&format!(
        "return [...document.querySelectorAll('button, input')].filter((it) => {{
            const box = (it.type === 'checkbox' ? it.closest('label') : it).getBoundingClientRect();
            return it.checkVisibility() && (box.width < {target} || box.height < {target});
        }}).map((it) => it.outerHTML)"
    ));
    assert_eq!(small, json!([]), "{what}: smaller than {target} pixels");
}

/// No error on the console, and no request but to this server.
#[track_caller]
pub fn check_calm(browser: &Browser, url: &str) {
    assert_eq!(browser.console(), Vec::<String>::new());
    let requests = browser.requests();
    assert!(!requests.is_empty());
    for request in requests {
        let is_own = request.starts_with(&format!("{url}/")) || request.starts_with("data:");
        assert!(is_own, "{request}");
    }
}
