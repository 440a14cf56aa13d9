//! Where the spans of a server are sent.

use crate::config::values::Values;
use crate::model::address::Address;

/// Their names are those of the OpenTelemetry specification.
pub(super) const SETTINGS: &str = "\
rare OTEL_EXPORTER_OTLP_ENDPOINT URL | none | a collector of OpenTelemetry, such as \
    http://127.0.0.1:4318, which gets the spans of traced requests, as JSON
rare OTEL_SERVICE_NAME NAME | =bazar | the name of this service there";

/// A collector of OpenTelemetry, if there is one.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct OtlpSettings {
    /// Where spans are posted. `None`: nowhere.
    pub(crate) url: Option<String>,
    pub(crate) service_name: String,
}

pub(super) fn read(values: &Values) -> Result<OtlpSettings, String> {
    let endpoint = values.optional("OTEL_EXPORTER_OTLP_ENDPOINT");
    let url = endpoint.map(|endpoint| {
        url(&endpoint).ok_or_else(|| {
            format!(
                "OTEL_EXPORTER_OTLP_ENDPOINT holds {endpoint:?} but must hold an address such as \
                 http://127.0.0.1:4318, without TLS"
            )
        })
    });
    Ok(OtlpSettings {
        url: url.transpose()?,
        service_name: values.needed("OTEL_SERVICE_NAME")?,
    })
}

/// The path for traces below an endpoint, as the specification wants it.
fn url(endpoint: &str) -> Option<String> {
    let (scheme, rest) = endpoint.trim().split_once("://")?;
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let base = Address::parse(&format!("{scheme}://{authority}")).ok()?;
    let is_plain = |byte: u8| byte.is_ascii_graphic() && !b"?#".contains(&byte);
    let path = path.trim_end_matches('/');
    let slash = if path.is_empty() { "" } else { "/" };
    path.bytes()
        .all(is_plain)
        .then(|| format!("{base}{slash}{path}/v1/traces"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(endpoint: &str, expected: Option<&str>) {
        assert_eq!(url(endpoint).as_deref(), expected, "{endpoint}");
    }

    #[test]
    fn traces_have_a_path_below_the_endpoint() {
        check(
            "http://127.0.0.1:4318",
            Some("http://127.0.0.1:4318/v1/traces"),
        );
        check(" HTTP://Collector/ ", Some("http://collector:80/v1/traces"));
        check("http://c:1/otlp/", Some("http://c:1/otlp/v1/traces"));
        for endpoint in [
            "https://c:4318",
            "c:4318",
            "http://",
            "http://c/a b",
            "http://c/?a",
        ] {
            check(endpoint, None);
        }
    }
}
