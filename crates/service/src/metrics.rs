//! Counts for whoever watches the service: numbers of requests, never what was in them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use caseload_protocol::messages::WireErrorCode;

use crate::error::ApiError;
use crate::state::{MOST_WAITING, Shared};

/// The counters.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    requests: AtomicU64,
    refusals: Mutex<BTreeMap<String, u64>>,
    operations: AtomicU64,
    rows: AtomicU64,
}

impl Metrics {
    pub(crate) fn request(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn refusal(&self, code: WireErrorCode) {
        let mut refusals = self.refusals.lock().unwrap_or_else(PoisonError::into_inner);
        *refusals.entry(name(code)).or_default() += 1;
    }

    pub(crate) fn operations(&self, count: usize) {
        self.operations.fetch_add(count as u64, Ordering::Relaxed);
    }

    pub(crate) fn rows(&self, count: usize) {
        self.rows.fetch_add(count as u64, Ordering::Relaxed);
    }

    fn text(&self) -> String {
        let mut text = format!(
            "caseload_requests_total {}\ncaseload_operations_total {}\ncaseload_rows_sent_total {}\n",
            self.requests.load(Ordering::Relaxed),
            self.operations.load(Ordering::Relaxed),
            self.rows.load(Ordering::Relaxed),
        );
        for (code, count) in self.refusals.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            let _infallible = writeln!(text, "caseload_refusals_total{{code=\"{code}\"}} {count}");
        }
        text
    }
}

/// The name of a code on the wire.
pub(crate) fn name(code: WireErrorCode) -> String {
    serde_json::to_value(code)
        .ok()
        .and_then(|name| Some(name.as_str()?.to_owned()))
        .unwrap_or_default()
}

/// `GET /metrics`, for programs on this machine only: how busy a practice is is nobody else's business.
pub(crate) async fn metrics(
    State(app): State<Shared>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
) -> Result<Response, ApiError> {
    allow(peer.ip())?;
    let headers = [(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/plain; version=0.0.4"),
    )];
    let waiting = MOST_WAITING - app.waiting.available_permits();
    Ok((headers, format!("{}caseload_waiting {waiting}\n", app.metrics.text())).into_response())
}

fn allow(peer: IpAddr) -> Result<(), ApiError> {
    if peer.to_canonical().is_loopback() {
        Ok(())
    } else {
        Err(WireErrorCode::Forbidden.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_reads_the_counts() {
        for (peer, allowed) in [
            ("127.0.0.1", true),
            ("::1", true),
            ("::ffff:127.0.0.1", true),
            ("192.168.1.4", false),
            ("::", false),
        ] {
            assert_eq!(allow(peer.parse().unwrap()).is_ok(), allowed, "{peer}");
        }
    }

    #[test]
    fn counts_name_codes_and_nothing_else() {
        let metrics = Metrics::default();
        metrics.request();
        metrics.operations(3);
        metrics.refusal(WireErrorCode::AuthExpired);
        metrics.refusal(WireErrorCode::AuthExpired);
        assert_eq!(
            metrics.text(),
            "caseload_requests_total 1\ncaseload_operations_total 3\ncaseload_rows_sent_total 0\n\
             caseload_refusals_total{code=\"auth_expired\"} 2\n"
        );
    }
}
