//! What every request shares.

use std::net::IpAddr;
use std::sync::Arc;

use caseload_domain::{DeviceId, PracticeId};
use caseload_protocol::messages::Limits;
use tokio::sync::{Mutex, Semaphore, watch};

use crate::auth::holders::Holders;
use crate::auth::nonces::Nonces;
use crate::auth::setup_code::SetupCode;
use crate::clock::Clock;
use crate::limits::{Buckets, Failures};
use crate::metrics::Metrics;
use crate::storage::Storage;
use crate::sync::KnownCare;

/// Requests in work at the same time, waiting ones aside; more are turned away at once.
const MOST_IN_FLIGHT: usize = 256;
/// Devices that wait for news at the same time.
pub(crate) const MOST_WAITING: usize = 4_096;
/// Requests per minute to the sign-in endpoints from one address.
const AUTH_PER_MINUTE: u32 = 120;
/// Wrong codes within [`CODE_WINDOW_MS`].
const WRONG_CODES: u32 = 5;
const CODE_WINDOW_MS: i64 = 15 * 60 * 1_000;

/// What every request shares; see [`App`].
pub(crate) type Shared = Arc<App>;

/// The running service without its listener.
pub(crate) struct App {
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) clock: Clock,
    pub(crate) limits: Limits,
    pub(crate) setup_code: SetupCode,
    /// Held while a practice is claimed, so that of two callers with the code one finds it claimed.
    pub(crate) claiming: Mutex<()>,
    pub(crate) nonces: Nonces,
    pub(crate) holders: Holders,
    pub(crate) sync_rate: Buckets<(DeviceId, String)>,
    pub(crate) auth_rate: Buckets<IpAddr>,
    pub(crate) wrong_setup_codes: Failures<IpAddr>,
    pub(crate) wrong_enrolment_codes: Failures<(PracticeId, IpAddr)>,
    pub(crate) in_flight: Semaphore,
    pub(crate) waiting: Semaphore,
    pub(crate) metrics: Metrics,
    /// What is known of who treats whom.
    pub(crate) care: KnownCare,
    /// Becomes true when the service ends, so that waiting devices are answered at once.
    pub(crate) stopping: watch::Receiver<bool>,
}

impl App {
    pub(crate) fn new(
        storage: Arc<dyn Storage>,
        clock: Clock,
        setup_code: SetupCode,
        stopping: watch::Receiver<bool>,
    ) -> Self {
        let limits = Limits::default();
        Self {
            storage,
            clock,
            setup_code,
            claiming: Mutex::new(()),
            nonces: Nonces::default(),
            holders: Holders::default(),
            sync_rate: Buckets::per_minute(limits.syncs_per_minute),
            auth_rate: Buckets::per_minute(AUTH_PER_MINUTE),
            wrong_setup_codes: Failures::at_most(WRONG_CODES, CODE_WINDOW_MS),
            wrong_enrolment_codes: Failures::at_most(WRONG_CODES, CODE_WINDOW_MS),
            in_flight: Semaphore::new(MOST_IN_FLIGHT),
            waiting: Semaphore::new(MOST_WAITING),
            metrics: Metrics::default(),
            care: KnownCare::default(),
            limits,
            stopping,
        }
    }

    /// The present instant in milliseconds.
    pub(crate) fn now_ms(&self) -> i64 {
        self.clock.now_ms()
    }
}
