//! The tables of `src/API.md`, which its tests compare with what servers really answer.

const PAGE: &str = include_str!("../../API.md");

/// A row of a table of requests: a method, a path, one status, and what that means.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Row {
    pub(super) method: &'static str,
    /// As on the page, such as `/lookup/<id>`.
    pub(super) path: &'static str,
    /// As on the page, such as `limit=<n>&after=<id>`, or empty.
    pub(super) query: &'static str,
    pub(super) status: &'static str,
    /// When the status comes, in words; perhaps empty.
    pub(super) when: &'static str,
    /// Body and headers, in words.
    pub(super) answer: &'static str,
}

impl Row {
    /// As in `shapes.json`.
    pub(super) fn operation(&self) -> String {
        format!("{} {}", self.method, self.path)
    }
}

/// The rows of a section, in their order.
pub(super) fn rows(section: &str) -> impl Iterator<Item = Row> {
    lines(section).filter_map(row)
}

/// What any request may get beside: a status, and when.
pub(super) fn at_any_time(section: &str) -> impl Iterator<Item = (&'static str, &'static str)> {
    lines(section)
        .filter_map(|line| line.strip_prefix("- ")?.split_at_checked(3))
        .filter(|(status, _)| status.bytes().all(|b| b.is_ascii_digit()))
        .map(|(status, when)| (status, when.trim()))
}

/// The names of all headers of responses.
pub(super) fn response_headers() -> impl Iterator<Item = &'static str> {
    let names = lines("Headers of responses").filter_map(|line| line.strip_prefix("| `"));
    names.filter_map(|rest| rest.split(['`', ':']).next())
}

fn lines(section: &str) -> impl Iterator<Item = &'static str> {
    let mut sections = PAGE.split("\n## ").filter_map(|text| text.split_once('\n'));
    let found = sections.find(|(title, _)| *title == section);
    let (_, body) = found.expect("the page has this section");
    body.lines()
}

fn row(line: &'static str) -> Option<Row> {
    let (request, rest) = line.strip_prefix("| `")?.split_once('`')?;
    let (request, status) = request.split_once(" → ")?;
    let (method, target) = request.split_once(' ')?;
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut cells = rest.split(" |").map(str::trim);
    let (_, when, answer) = (cells.next()?, cells.next()?, cells.next()?);
    Some(Row {
        method,
        path,
        query,
        status,
        when,
        answer,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_has_all_its_parts() {
        let line = "| `GET /a/<id>?limit=<n> → 404` | there is none | `message`; `X: y` |";
        let expected = Row {
            method: "GET",
            path: "/a/<id>",
            query: "limit=<n>",
            status: "404",
            when: "there is none",
            answer: "`message`; `X: y`",
        };
        assert_eq!(row(line), Some(expected));
        let empty = row("| `HEAD /livez → 200` | | no body |").unwrap();
        assert_eq!((empty.when, empty.answer), ("", "no body"));
        assert_eq!(row("| request → status | when | answer |"), None);
    }

    #[test]
    fn the_page_has_what_any_request_may_get() {
        let statuses: Vec<_> = at_any_time("Every server")
            .map(|(status, _)| status)
            .collect();
        assert_eq!(statuses, ["500", "503", "503"]);
        assert!(response_headers().any(|name| name == "ETag"));
    }
}
