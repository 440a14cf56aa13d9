//! What paths mean, and what a 5xx says of its outcome.

use super::*;

#[test]
fn a_path_is_split_before_it_is_decoded() {
    assert_eq!(split_path("/search/a%2Fb").unwrap(), ["search", "a/b"]);
    assert_eq!(split_path("/dump/").unwrap(), ["dump", ""]);
    assert_eq!(split_path("/").unwrap(), [""]);
    for path in ["/%", "/%4", "/%zz", "/%ff", "/%+1"] {
        assert!(
            matches!(split_path(path), Err(Error::BadRequest(_))),
            "{path}"
        );
    }
}

#[test]
fn encoding_is_undone_by_decoding() {
    for text in ["a/b", "%_ +", "Bücher & more", ".."] {
        assert_eq!(decode(&encode(text)).unwrap(), text);
    }
}

#[track_caller]
fn check_outcome(status: u16, outcome: Option<&'static str>, before: bool, expected: Option<&str>) {
    let mut response = Response::empty(status);
    if let Some(outcome) = outcome {
        response = response.with("Bazar-Outcome", outcome);
    }
    let headers = response.with_outcome(before).headers;
    let outcomes: Vec<_> = headers.iter().map(|(_, value)| value.as_ref()).collect();
    assert_eq!(outcomes, Vec::from_iter(expected));
}

#[test]
fn a_5xx_says_none_only_if_it_happened_nowhere() {
    check_outcome(504, None, false, Some("none"));
    check_outcome(504, None, true, Some("unknown"));
    check_outcome(503, Some("none"), true, Some("unknown"));
    check_outcome(507, Some("unknown"), false, Some("unknown"));
    check_outcome(200, None, true, None);
}
