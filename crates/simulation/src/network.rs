//! The network between devices and service. Every request stops twice, before it is sent and before its answer is given back, and goes on
//! when the history says so: lost, cut short, refused, or after other devices have done their work in between.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use caseload_protocol::messages::{HelloResponse, PullResponse, WireErrorCode};
use caseload_sync::TransportError;
use caseload_sync::engine::{CheckReport, Round, SyncError};
use caseload_sync::transport::{BoxFuture, Exchange, Transport};
use tokio::sync::{mpsc, oneshot};

use crate::host::{Sent, call};

/// Requests that are remembered, to arrive once more.
const REMEMBERED: usize = 12;

/// What becomes of a request.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Request {
    Arrives,
    IsLost,
    IsRefused(WireErrorCode),
}

/// What becomes of an answer.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Answer {
    Arrives,
    IsLost,
    IsCutShort,
    /// Its rows come in another order, if it has several.
    IsOutOfOrder,
}

/// Where a round stands.
pub(crate) enum Event {
    /// A request is about to be sent.
    Asks {
        file: usize,
        path: String,
        verdict: oneshot::Sender<Request>,
    },
    /// The service has answered.
    Answers {
        file: usize,
        sent: Sent,
        answer: Result<Vec<u8>, WireErrorCode>,
        verdict: oneshot::Sender<Answer>,
    },
    /// The round is over.
    Ends {
        file: usize,
        result: Result<Finished, SyncError>,
    },
}

/// What was done when it is over.
pub(crate) enum Finished {
    Round(Round),
    Check(CheckReport),
}

/// What all transports share.
pub(crate) struct Network {
    router: Mutex<Router>,
    events: mpsc::UnboundedSender<Event>,
    /// Small limits, so that short histories need several pages.
    pull_rows: u32,
    push_ops: u32,
    /// While it is calm, requests pass without stopping.
    calm: AtomicBool,
    remembered: Mutex<VecDeque<Sent>>,
}

impl Network {
    pub(crate) fn new(events: mpsc::UnboundedSender<Event>, pull_rows: u32, push_ops: u32) -> Arc<Self> {
        Arc::new(Self {
            router: Mutex::new(Router::new()),
            events,
            pull_rows,
            push_ops,
            calm: AtomicBool::new(false),
            remembered: Mutex::default(),
        })
    }

    /// From now on requests go to these routes.
    pub(crate) fn lead_to(&self, router: Router) {
        *lock(&self.router) = router;
    }

    /// Whether requests pass without stopping.
    pub(crate) fn calm(&self, calm: bool) {
        self.calm.store(calm, Ordering::SeqCst);
    }

    pub(crate) fn router(&self) -> Router {
        lock(&self.router).clone()
    }

    pub(crate) fn tell(&self, event: Event) {
        let _nobody_listens = self.events.send(event);
    }

    /// Requests that were sent some time ago.
    pub(crate) fn remembered(&self) -> Vec<Sent> {
        lock(&self.remembered).iter().cloned().collect()
    }

    fn remember(&self, sent: &Sent) {
        if sent.path.starts_with("/v1/sync/") {
            let mut remembered = lock(&self.remembered);
            remembered.push_back(sent.clone());
            if remembered.len() > REMEMBERED {
                remembered.pop_front();
            }
        }
    }

    /// The answer to hello with the limits of this history.
    fn limited(&self, path: &str, answer: Vec<u8>) -> Vec<u8> {
        if path != "/v1/sync/hello" {
            return answer;
        }
        let Ok(mut hello) = serde_json::from_slice::<HelloResponse>(&answer) else {
            return answer;
        };
        hello.limits.pull_rows = self.pull_rows;
        hello.limits.push_ops = self.push_ops;
        serde_json::to_vec(&hello).unwrap_or(answer)
    }
}

/// The way of one file to the service.
pub(crate) struct Line {
    network: Arc<Network>,
    file: usize,
}

impl Line {
    pub(crate) const fn new(network: Arc<Network>, file: usize) -> Self {
        Self { network, file }
    }

    async fn exchange(&self, sent: Sent) -> Result<Vec<u8>, TransportError> {
        // Signing in changes nothing that is shared; a stop there would only make histories longer.
        if self.network.calm.load(Ordering::SeqCst) || sent.path.starts_with("/v1/auth/") {
            let answer = call(self.network.router(), &sent).await?;
            return Ok(self.network.limited(&sent.path, answer));
        }
        let (verdict, judged) = oneshot::channel();
        self.network.tell(Event::Asks {
            file: self.file,
            path: sent.path.clone(),
            verdict,
        });
        match judged.await.unwrap_or(Request::IsLost) {
            Request::Arrives => {}
            Request::IsLost => return Err(TransportError::Unreachable(None)),
            Request::IsRefused(code) => return Err(refused(code)),
        }
        self.network.remember(&sent);
        let answer = call(self.network.router(), &sent).await;
        let (verdict, judged) = oneshot::channel();
        self.network.tell(Event::Answers {
            file: self.file,
            answer: match &answer {
                Ok(body) => Ok(body.clone()),
                Err(error) => Err(error.code().unwrap_or(WireErrorCode::Internal)),
            },
            sent: sent.clone(),
            verdict,
        });
        match judged.await.unwrap_or(Answer::IsLost) {
            Answer::Arrives => answer.map(|body| self.network.limited(&sent.path, body)),
            Answer::IsLost => Err(TransportError::Unreachable(None)),
            Answer::IsCutShort => answer.map(|body| body[..body.len() / 2].to_vec()),
            Answer::IsOutOfOrder => answer.map(|body| out_of_order(&body).unwrap_or(body)),
        }
    }
}

impl Transport for Line {
    fn exchange<'a>(&'a self, request: Exchange<'a>) -> BoxFuture<'a, Result<Vec<u8>, TransportError>> {
        Box::pin(self.exchange(Sent {
            path: request.path.to_owned(),
            token: request.token.map(str::to_owned),
            body: request.body,
        }))
    }
}

/// A page whose first row comes last; `None` where there is no order to lose.
pub(crate) fn out_of_order(body: &[u8]) -> Option<Vec<u8>> {
    let mut page: PullResponse = serde_json::from_slice(body).ok()?;
    if page.rows.len() < 2 {
        return None;
    }
    page.rows.rotate_left(1);
    serde_json::to_vec(&page).ok()
}

const fn refused(code: WireErrorCode) -> TransportError {
    TransportError::Refused {
        code,
        retry_after_ms: Some(1_000),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
