//! Rounds on their way: each stops before a request and before its answer, and the seed decides what becomes of either.

use std::collections::BTreeMap;
use std::sync::Arc;

use caseload_protocol::cursor::Cursor;
use caseload_protocol::messages::{
    HelloAction, HelloRequest, HelloResponse, Outcome, PullResponse, PushRequest, PushResponse, WireErrorCode,
};
use caseload_store::{ApplyError, StorageError};
use caseload_sync::engine::SyncError;
use tokio::task::JoinHandle;

use super::{Ended, Running, Stopped, World};
use crate::host::Sent;
use crate::invariants::Broken;
use crate::network::{Answer, Event, Finished, Request, out_of_order};

impl World<'_> {
    /// Lets a file that does nothing begin a round.
    pub(super) async fn start_round(&mut self) -> Result<(), Ended> {
        let mut idle = Vec::new();
        for machine in &self.machines {
            for file in machine.files() {
                if machine.file(file).is_some() && !self.running.contains_key(&file) {
                    idle.push(file);
                }
            }
        }
        let Some(file) = self.chance.pick(&idle).copied() else {
            return Ok(());
        };
        let place = file / 2;
        let at = self.instant(place);
        let Some(local) = self.machines[place].file(file) else {
            return Ok(());
        };
        let (engine, network) = (Arc::clone(&local.engine), Arc::clone(&self.network));
        let checks = self.chance.percent(8);
        let task = tokio::spawn(async move {
            let result = if checks {
                engine.check(at).await.map(Finished::Check)
            } else {
                engine.round(at).await.map(Finished::Round)
            };
            network.tell(Event::Ends { file, result });
        });
        let what = if checks { "check" } else { "round" };
        self.say(format!("{place}: {what} of {file}"));
        if !self.running.is_empty() {
            self.tally.count("fault: rounds interleaved");
        }
        self.next_stop(file, task).await
    }

    /// Lets one of the rounds on their way go on.
    pub(super) async fn go_on(&mut self) -> Result<(), Ended> {
        let files: Vec<usize> = self.running.keys().copied().collect();
        let Some(file) = self.chance.pick(&files).copied() else {
            return self.start_round().await;
        };
        let Some(Running { task, stopped }) = self.running.remove(&file) else {
            return Ok(());
        };
        match stopped {
            Stopped::Asking(verdict) => {
                let request = self.fate_of_request();
                let _round_was_ended = verdict.send(request);
            }
            Stopped::Answering { verdict, is_page } => {
                let answer = self.fate_of_answer(file, is_page)?;
                let _round_was_ended = verdict.send(answer);
            }
        }
        self.next_stop(file, task).await
    }

    pub(super) fn fate_of_request(&mut self) -> Request {
        if self.good_network && self.chance.percent(80) {
            return Request::Arrives;
        }
        let fate = self.chance.weighted(&[82, 5, 3, 3, 7]);
        let (name, request) = match fate {
            1 => ("fault: request lost", Request::IsLost),
            2 => ("fault: refused with busy", Request::IsRefused(WireErrorCode::Busy)),
            3 => (
                "fault: refused with storage unavailable",
                Request::IsRefused(WireErrorCode::StorageUnavailable),
            ),
            4 => {
                #[cfg(feature = "test-faults")]
                {
                    let points = 1 + self.chance.below(400) as u32;
                    self.host.fuse.arm(points);
                }
                return Request::Arrives;
            }
            _ => return Request::Arrives,
        };
        self.tally.count(name);
        self.say(name.to_owned());
        request
    }

    pub(super) fn fate_of_answer(&mut self, file: usize, is_page: bool) -> Result<Answer, Ended> {
        if self.good_network && self.chance.percent(80) {
            return Ok(Answer::Arrives);
        }
        let fate = self.chance.weighted(&[81, 5, 3, 6, 2, 3]);
        let (name, answer) = match fate {
            1 => ("fault: answer lost", Answer::IsLost),
            2 => ("fault: answer cut short", Answer::IsCutShort),
            4 if is_page => ("fault: page out of order", Answer::IsOutOfOrder),
            3 => {
                #[cfg(feature = "test-faults")]
                {
                    let points = 1 + self.chance.below(600) as u32;
                    self.machines[file / 2].fuse.arm(points);
                }
                let _only_with_crash_points = file;
                return Ok(Answer::Arrives);
            }
            5 => {
                #[cfg(feature = "test-faults")]
                {
                    let room = self.chance.below(3) as i64;
                    self.machines[file / 2].leave_room(Some(room))?;
                }
                return Ok(Answer::Arrives);
            }
            _ => return Ok(Answer::Arrives),
        };
        self.tally.count(name);
        self.say(name.to_owned());
        Ok(answer)
    }

    /// Waits until the round of `file` stops again or ends.
    pub(super) async fn next_stop(&mut self, file: usize, task: JoinHandle<()>) -> Result<(), Ended> {
        let event = self.events.recv().await;
        settle_blocking_work().await;
        #[cfg(feature = "test-faults")]
        {
            self.machines[file / 2].fuse.disarm();
            self.machines[file / 2].leave_room(None)?;
            self.host.fuse.disarm();
        }
        match event {
            Some(Event::Asks {
                file: of,
                path,
                verdict,
            }) => {
                self.expect(of, file);
                self.say(format!("{file} asks {path}"));
                let stopped = Stopped::Asking(verdict);
                self.running.insert(file, Running { task, stopped });
            }
            Some(Event::Answers {
                file: of,
                sent,
                answer,
                verdict,
            }) => {
                self.expect(of, file);
                let is_page =
                    sent.path == "/v1/sync/pull" && answer.as_ref().is_ok_and(|body| out_of_order(body).is_some());
                let stopped = Stopped::Answering { verdict, is_page };
                self.running.insert(file, Running { task, stopped });
                self.heard(&sent, &answer).await?;
            }
            Some(Event::Ends { file: of, result }) => {
                self.expect(of, file);
                task.await?;
                self.ended(file, result)?;
            }
            None => return Err(anyhow::anyhow!("the network is gone").into()),
        }
        Ok(())
    }

    pub(super) fn expect(&self, found: usize, expected: usize) {
        assert_eq!(
            found, expected,
            "one thing at a time: only the round that was let go on does anything"
        );
    }

    /// Takes note of what the service answered.
    pub(super) async fn heard(&mut self, sent: &Sent, answer: &Result<Vec<u8>, WireErrorCode>) -> Result<(), Ended> {
        let body = match answer {
            Ok(body) => body,
            Err(code) => {
                self.say(format!("{} refused: {code:?}", sent.path));
                return self.look_after_the_service().await;
            }
        };
        match sent.path.as_str() {
            "/v1/sync/push" => {
                let request: PushRequest = serde_json::from_slice(sent.body.as_deref().unwrap_or_default())?;
                let answer: PushResponse = serde_json::from_slice(body)?;
                let ops = request.groups.iter().flat_map(|group| &group.ops);
                let keys: BTreeMap<_, _> = ops.map(|op| (op.op_id, op.key.clone())).collect();
                self.say(format!(
                    "push of {} groups by {}",
                    request.groups.len(),
                    request.replica
                ));
                for result in &answer.results {
                    self.tally.count(outcome_name(result.st));
                    let of = keys.get(&result.op_id).map(|key| format!("{}/{}", key.kind, key.id));
                    let line = format!(
                        "{} {} {:?} {:?} rev {} seq {}",
                        result.op_id,
                        of.unwrap_or_default(),
                        result.st,
                        result.why,
                        result.rev,
                        result.seq
                    );
                    self.say(line);
                }
                self.observe().await?;
            }
            "/v1/sync/pull" => {
                let answer: PullResponse = serde_json::from_slice(body)?;
                self.tally.add("fault: scope gained", answer.enter.len() as u64);
                self.tally.add("fault: scope lost", answer.leave.len() as u64);
                let rows: Vec<String> = answer
                    .rows
                    .iter()
                    .map(|row| format!("{}/{} rev {} seq {}", row.key.kind, row.key.id, row.rev, row.seq))
                    .collect();
                self.say(format!(
                    "pull up to {}, more {}: {rows:?}",
                    answer.cursor.seq, answer.more
                ));
            }
            "/v1/sync/hello" => {
                let request: HelloRequest = serde_json::from_slice(sent.body.as_deref().unwrap_or_default())?;
                let answer: HelloResponse = serde_json::from_slice(body)?;
                let is_behind = |cursor: &Cursor| cursor.epoch == answer.epoch && cursor.seq < answer.gc_floor;
                if request.cursor.as_ref().is_some_and(is_behind) {
                    self.tally.count("outcome: compared because void rows were forgotten");
                }
                match answer.action {
                    HelloAction::Reregister => self.tally.count("outcome: registered anew"),
                    HelloAction::Resync => self.tally.count("outcome: resynced"),
                    HelloAction::Ok | HelloAction::Upgrade | HelloAction::Revoked => {}
                }
                self.say(format!("hello: {:?}", answer.action));
            }
            _ => {}
        }
        Ok(())
    }

    pub(super) fn ended(&mut self, file: usize, result: Result<Finished, SyncError>) -> Result<(), Ended> {
        match result {
            Ok(Finished::Check(report)) => {
                self.tally.count("outcome: both ends compared");
                self.say(format!("{file} is compared: {} repaired", report.repaired));
                if report.repaired > 0 {
                    let buckets = report.differing;
                    return Err(
                        Broken::of("I6", format!("file {file}: rows of {buckets:?} had to be repaired")).into(),
                    );
                }
                Ok(())
            }
            Ok(Finished::Round(round)) => {
                self.tally.add("outcome: kept as refused", round.refused as u64);
                self.say(format!("{file} ends: {} pushed, {} pulled", round.pushed, round.pulled));
                self.after_round(file / 2)
            }
            Err(error) if self.machines[file / 2].is_dead() => {
                self.say(format!("{file} dies: {error}"));
                Ok(())
            }
            Err(
                SyncError::Storage(StorageError::Full(_))
                | SyncError::Apply(ApplyError::Storage(StorageError::Full(_))),
            ) => {
                self.tally.count("fault: disk full");
                self.say(format!("{file} has no room"));
                Ok(())
            }
            Err(SyncError::Revoked) => {
                self.tally.count("outcome: refused because revoked");
                self.say(format!("{file} is told that it is revoked"));
                Ok(())
            }
            Err(SyncError::Storage(error)) => Err(Broken::of("a file", error.to_string()).into()),
            Err(error) => {
                self.say(format!("{file} fails: {error}"));
                Ok(())
            }
        }
    }
}

/// Waits for what the rounds do on the one thread for blocking work beside a request: afterwards nothing moves until something is let go on.
async fn settle_blocking_work() {
    // A round has at most two such steps in a row; after each it is polled once to begin the next.
    for _ in 0..4 {
        let _nothing_to_answer = tokio::task::spawn_blocking(|| ()).await;
        tokio::task::yield_now().await;
    }
}

const fn outcome_name(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Applied => "outcome: applied",
        Outcome::Merged => "outcome: merged",
        Outcome::Duplicate => "outcome: duplicate",
        Outcome::Conflict => "outcome: conflict",
        Outcome::Clash => "outcome: clash",
        Outcome::Rejected => "outcome: rejected",
        Outcome::Upgrade => "outcome: upgrade",
    }
}
