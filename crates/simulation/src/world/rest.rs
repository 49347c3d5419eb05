//! Coming to rest, and the verdict: from here on nothing goes wrong any more, and every invariant is looked at.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use caseload_domain::time::Millis;
use caseload_domain::{EntityKey, Scope};
use caseload_protocol::checksum::hex;
use caseload_sync::engine::SyncError;

use super::{EVERYTHING, Ended, World};
use crate::actions;
use crate::desk::Desk;
use crate::invariants::{self, Broken, FileAtRest, Rest};

/// Rounds of every file within which a calm practice has to come to rest.
const MOST_CYCLES: usize = 12;

impl World<'_> {
    /// From here on nothing goes wrong any more.
    pub(super) async fn come_to_rest(&mut self) -> Result<(), Ended> {
        for place in 0..self.machines.len() {
            self.end_rounds_of(place).await;
            self.machines[place].skew = 0;
        }
        self.network.calm(true);
        let mut before = String::new();
        for cycle in 0..MOST_CYCLES {
            for place in 0..self.machines.len() {
                for file in self.machines[place].files() {
                    self.calm_round(place, file, cycle).await?;
                }
            }
            self.observe().await?;
            let after = self.standing()?;
            if after == before {
                self.say(after);
                return Ok(());
            }
            before = after;
        }
        Err(Broken::of("I14", format!("no rest after {MOST_CYCLES} calm cycles")).into())
    }

    pub(super) async fn calm_round(&mut self, place: usize, file: usize, cycle: usize) -> Result<(), Ended> {
        let Some(local) = self.machines[place].file(file) else {
            return Ok(());
        };
        let engine = Arc::clone(&local.engine);
        self.now += 1_000;
        self.clock.store(self.now, Ordering::SeqCst);
        let round = engine.round(Millis(self.now)).await;
        let was_revoked = self.revoked.remove(&place);
        match round {
            Ok(round) => self.tally.add("outcome: kept as refused", round.refused as u64),
            Err(SyncError::Revoked) => {
                self.revoked.insert(place);
                if !was_revoked {
                    self.say(format!("{place} rests, revoked"));
                }
                return Ok(());
            }
            // A file that registered after the copy was made is unknown to the service that was put back: the next greeting mends it.
            Err(SyncError::Transport(error)) if self.put_back && cycle == 0 => {
                self.say(format!("{file} fails: {error}"));
            }
            Err(error) => {
                return Err(Broken::of(
                    "I14",
                    format!("file {file} fails in calm cycle {cycle}: {error} ({error:?})"),
                )
                .into());
            }
        }
        let at = self.instant(place);
        let mut desk = Desk {
            cast: &self.template.cast,
            machine: &self.machines[place],
            model: &mut self.model,
            chance: &mut self.chance,
            tally: &mut self.tally,
            marks: &mut self.marks,
            at,
        };
        actions::reoffers::review(&mut desk)?;
        self.observe().await
    }

    /// Where everything stands, as a text that changes with anything.
    pub(super) fn standing(&self) -> Result<String, Ended> {
        let mut standing = format!("head {}", self.model.head);
        for machine in &self.machines {
            for file in machine.files() {
                if let Some(local) = machine.file(file) {
                    let state = local.store.sync_state()?;
                    let waiting = local.store.read(|read| read.waiting())?.count;
                    let seq = state.cursor.map(|cursor| cursor.seq);
                    standing.push_str(&format!("; {file}: {seq:?} {waiting} {:?}", state.scopes.len()));
                }
            }
        }
        Ok(standing)
    }

    /// Every invariant.
    pub(super) async fn judge(&mut self) -> Result<(), Ended> {
        let rest = self.rest().await?;
        self.say(hex(&rest.head.chain));
        invariants::i2_numbers_are_contiguous_and_the_chain_verifies(&rest)?;
        invariants::i3_each_operation_is_applied_at_most_once(&rest)?;
        invariants::i7_no_unintended_double_booking(&rest)?;
        invariants::i12_no_two_clients_have_one_number(&rest)?;
        invariants::i13_what_was_committed_is_still_there(&self.model, &rest)?;
        let storage = Arc::clone(self.host.storage());
        let mut files = Vec::new();
        for machine in &self.machines {
            let person = self.template.cast.person_of(machine.computer);
            let care = storage.care_scopes(self.template.cast.practice, person.user).await?;
            for file in machine.files() {
                if let Some(local) = machine.file(file) {
                    let entitled = if file.is_multiple_of(2) {
                        std::iter::once(Scope::Office).collect()
                    } else {
                        care.iter().copied().map(Scope::Clinical).collect()
                    };
                    files.push(FileAtRest {
                        file,
                        store: &local.store,
                        entitled,
                        is_revoked: self.revoked.contains(&(file / 2)),
                    });
                }
            }
        }
        for file in files.iter().filter(|file| !file.is_revoked) {
            invariants::i1_a_reader_that_saw_a_number_has_every_lower_one(&rest, file)?;
            invariants::i4_every_operation_ended(file)?;
            invariants::i4_no_honest_signature_is_refused(file)?;
            invariants::i6_the_file_holds_what_the_service_holds(&rest, file)?;
            invariants::i11_a_file_holds_nothing_outside_its_scopes(&rest, file)?;
            invariants::i15_every_position_is_a_state_of_this_history(&rest, file)?;
        }
        invariants::i5_no_unseen_value_is_lost(&self.model, &rest, &files)?;
        invariants::i8_whatever_was_created_exists(&self.model, &rest, &files)?;
        let sharing = self
            .machines
            .iter()
            .filter(|machine| !self.revoked.contains(&machine.place));
        for machine in sharing {
            for file in machine.files() {
                if let Some(local) = machine.file(file) {
                    let report = local.engine.check(Millis(self.now)).await?;
                    if !report.differing.is_empty() {
                        return Err(Broken::of(
                            "I6",
                            format!("file {file}: the sums of {:?} differ", report.differing),
                        )
                        .into());
                    }
                }
            }
        }
        Ok(())
    }

    pub(super) async fn rest(&self) -> Result<Rest, Ended> {
        let storage = self.host.storage();
        let practice = self.template.cast.practice;
        let page = storage.read_since(practice, 0, &self.scopes(), EVERYTHING).await?;
        let history = storage.history(practice, 0, u32::MAX >> 1).await?;
        let rows: BTreeMap<EntityKey, _> = page.rows.into_iter().map(|row| (row.key.clone(), row)).collect();
        Ok(Rest {
            head: page.head,
            rows,
            history,
        })
    }

    /// Lets go of everything.
    pub(crate) async fn close(mut self) {
        for place in 0..self.machines.len() {
            self.end_rounds_of(place).await;
        }
        self.host.close().await;
    }
}
