//! `If-Match` and `If-None-Match`: the versions of a book on which a change may be made (RFC 9110,
//! 13.1.1 and 13.1.2).

use crate::model::book::Version;
use crate::model::error::{Error, Result};

/// What `If-Match` requires.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum IfMatch {
    /// `*`: any version of a book that exists.
    Any,
    /// One of these. A well-formed tag that no version has is left out: it never matches.
    OneOf(Vec<Version>),
    /// Any but these.
    NoneOf(Vec<Version>),
}

impl IfMatch {
    /// Parses the header's value. Fails with 400 when it is malformed.
    pub(crate) fn parse(text: &str) -> Result<IfMatch> {
        if text.trim() == "*" {
            return Ok(IfMatch::Any);
        }
        let tags = split_tags(text, false).ok_or_else(|| malformed("If-Match"))?;
        Ok(IfMatch::OneOf(versions(tags)))
    }

    /// Parses the value of `If-None-Match`. Fails with 400 when it is malformed.
    pub(crate) fn parse_none(text: &str) -> Result<IfMatch> {
        if text.trim() == "*" {
            // Every book that exists has some version.
            return Ok(IfMatch::OneOf(Vec::new()));
        }
        let tags = split_tags(text, true).ok_or_else(|| malformed("If-None-Match"))?;
        Ok(IfMatch::NoneOf(versions(tags)))
    }

    pub(crate) fn allows(&self, version: Version) -> bool {
        match self {
            IfMatch::Any => true,
            IfMatch::OneOf(versions) => versions.contains(&version),
            IfMatch::NoneOf(versions) => !versions.contains(&version),
        }
    }
}

fn malformed(name: &str) -> Error {
    Error::BadRequest(format!(
        "{name} must be * or a list of ETags such as \"3-12345\""
    ))
}

fn versions(tags: Vec<&str>) -> Vec<Version> {
    tags.into_iter().filter_map(Version::parse).collect()
}

/// The opaque parts of the strong tags in a list, and of the weak ones if they may match. `None`
/// if the text is not a list of tags.
fn split_tags(text: &str, may_be_weak: bool) -> Option<Vec<&str>> {
    let mut tags = Vec::new();
    let mut rest = text.trim();
    loop {
        let weak = rest.strip_prefix("W/");
        let (tag, after) = weak.unwrap_or(rest).strip_prefix('"')?.split_once('"')?;
        if tag.bytes().any(|b| b <= b' ' || b == 0x7f) {
            return None;
        }
        if may_be_weak || weak.is_none() {
            tags.push(tag);
        }
        rest = after.trim_start();
        if rest.is_empty() {
            return Some(tags);
        }
        rest = rest.strip_prefix(',')?.trim_start();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<&[(u64, u64)]>) {
        let got = IfMatch::parse(text).ok();
        let version = |&(number, stamp): &(u64, u64)| Version { number, stamp };
        let expected = expected.map(|tags| IfMatch::OneOf(tags.iter().map(version).collect()));
        assert_eq!(got, expected, "{text:?}");
    }

    #[test]
    fn a_list_of_tags_is_parsed() {
        check("\"3-4\"", Some(&[(3, 4)]));
        check("\"3-4\" , \"5-6\"", Some(&[(3, 4), (5, 6)]));
        check("\"anything\", W/\"3-4\"", Some(&[]));
        assert_eq!(IfMatch::parse(" * ").unwrap(), IfMatch::Any);
    }

    #[test]
    fn versions_can_be_excluded() {
        let allows = |text: &str| {
            let version = Version {
                number: 3,
                stamp: 4,
            };
            IfMatch::parse_none(text).map(|condition| condition.allows(version))
        };
        assert_eq!(allows("\"3-4\""), Ok(false));
        assert_eq!(allows("\"1-1\", W/\"3-4\""), Ok(false));
        assert_eq!(allows("*"), Ok(false));
        assert_eq!(allows("\"3-5\", \"x\""), Ok(true));
        assert!(allows("3-4").is_err());
    }

    #[test]
    fn a_malformed_header_is_refused() {
        for text in [
            "",
            "3-4",
            "\"3-4",
            "\"3-4\" \"5-6\"",
            "\"3-4\",",
            "*, \"3-4\"",
            "\"a b\"",
        ] {
            check(text, None);
        }
    }
}
