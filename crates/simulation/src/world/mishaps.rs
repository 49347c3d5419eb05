//! What happens to whole computers and to the service: killed, copied, put back, cloned; clocks that jump and requests that come late.

use std::sync::atomic::Ordering;

use caseload_domain::EntityKey;
use caseload_domain::time::Millis;
use caseload_protocol::messages::WireErrorCode;
use caseload_service::storage::Keeping;

use super::{Backup, Ended, World};
use crate::actions;
use crate::desk::Desk;
use crate::host::call;
use crate::machine::Machine;
use crate::template::BEGINNING;

/// How many of the changes that waited for an updated program are made again as soon as it is there.
const MOST_HELD: usize = 3;

impl World<'_> {
    /// A service that died starts again with what its files hold.
    #[cfg_attr(
        not(feature = "test-faults"),
        expect(clippy::unused_async, reason = "without crash points no service dies")
    )]
    pub(super) async fn look_after_the_service(&mut self) -> Result<(), Ended> {
        #[cfg(feature = "test-faults")]
        if self.host.fuse.is_blown() {
            self.tally.count("fault: service killed between statements");
            self.say("the service died".to_owned());
            self.host.kill().await?;
            self.network.lead_to(self.host.router());
            self.observe().await?;
        }
        Ok(())
    }

    /// Machines whose fuse has blown are started again.
    pub(super) async fn bury_the_dead(&mut self) -> Result<(), Ended> {
        self.look_after_the_service().await?;
        for place in 0..self.machines.len() {
            if self.machines[place].is_dead() {
                self.tally.count("fault: device killed between statements");
                self.kill(place).await?;
            }
        }
        Ok(())
    }

    pub(super) async fn kill(&mut self, place: usize) -> Result<(), Ended> {
        self.say(format!("{place} is killed"));
        self.end_rounds_of(place).await;
        self.machines[place].kill(&self.template.cast, &self.network)?;
        self.after_start(place)
    }

    /// What a program does when it starts: intents of the other file that were not done.
    pub(super) fn after_start(&mut self, place: usize) -> Result<(), Ended> {
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
        desk.run_intents()?;
        Ok(())
    }

    /// What a program does when a round has come to its end: what the service lost is offered back.
    pub(super) fn after_round(&mut self, place: usize) -> Result<(), Ended> {
        self.perform(place, &actions::reoffers::OFFER)?;
        Ok(())
    }

    pub(super) async fn end_rounds_of(&mut self, place: usize) {
        for file in self.machines[place].files() {
            if let Some(running) = self.running.remove(&file) {
                running.task.abort();
                let _cancelled = running.task.await;
            }
        }
    }

    /// Something that happens to a whole computer or to the service.
    pub(super) async fn mishap(&mut self) -> Result<(), Ended> {
        let place = self.chance.below(self.machines.len());
        match self.chance.weighted(&[18, 14, 16, 12, 10, 8, 8, 14, 16, 6, 5, 8, 3]) {
            0 => self.old_request_arrives().await,
            1 => self.clock_jumps(place),
            2 => {
                self.tally.count("fault: device killed between requests");
                self.kill(place).await
            }
            3 => self.back_up(place),
            4 => self.put_machine_back().await,
            5 => self.clone_machine(),
            6 => self.restart_service().await,
            7 => self.copy_service().await,
            8 => self.put_service_back().await,
            9 => self.let_tombstones_go().await,
            10 => self.keep_a_row_for_newer_programs().await,
            11 => self.change_program(place).await,
            _ => self.revoke(place).await,
        }
    }

    pub(super) async fn old_request_arrives(&mut self) -> Result<(), Ended> {
        let remembered = self.network.remembered();
        let Some(sent) = self.chance.pick(&remembered).cloned() else {
            return Ok(());
        };
        self.tally.count("fault: old request arrives again");
        self.say(format!("an old {} arrives", sent.path));
        // Its answer reaches nobody.
        let answer = call(self.network.router(), &sent).await;
        let answer = answer.map_err(|error| error.code().unwrap_or(WireErrorCode::Internal));
        self.heard(&sent, &answer).await
    }

    pub(super) fn clock_jumps(&mut self, place: usize) -> Result<(), Ended> {
        self.tally.count("fault: clock jumped");
        let days = [-365, -1, 1, 30, 365][self.chance.below(5)];
        if self.chance.percent(25) {
            self.now = (self.now + days * Millis::DAY).max(BEGINNING);
            self.clock.store(self.now, Ordering::SeqCst);
        } else {
            self.machines[place].skew = days * Millis::DAY;
        }
        self.say(format!("a clock jumps by {days} days"));
        Ok(())
    }

    pub(super) fn back_up(&mut self, place: usize) -> Result<(), Ended> {
        let folder = self.machines[place].copy(&format!("backup-{}", self.backups.len()))?;
        self.say(format!("{place} is copied"));
        self.backups.push(Backup {
            place,
            folder,
            extent: self.model.extent(),
        });
        Ok(())
    }

    pub(super) async fn put_machine_back(&mut self) -> Result<(), Ended> {
        if self.backups.is_empty() {
            return Ok(());
        }
        let at = self.chance.below(self.backups.len());
        let place = self.backups[at].place;
        self.tally.count("fault: device restored from a copy");
        self.say(format!("{place} is put back"));
        self.end_rounds_of(place).await;
        let files = self.machines[place].files();
        self.model.files_were_put_back(&files, &self.backups[at].extent);
        let folder = self.backups[at].folder.clone();
        self.machines[place].put_back(&folder, &self.template.cast, &self.network)?;
        self.after_start(place)
    }

    pub(super) fn clone_machine(&mut self) -> Result<(), Ended> {
        if self.machines.len() >= 6 || self.backups.is_empty() {
            return Ok(());
        }
        let at = self.chance.below(self.backups.len());
        let (of, folder) = (self.backups[at].place, self.backups[at].folder.clone());
        self.tally.count("fault: device cloned");
        let (computer, place) = (self.machines[of].computer, self.machines.len());
        self.say(format!("{of} is cloned as {place}"));
        let cast = &self.template.cast;
        let machine = Machine::start(cast, &self.network, &self.root, &folder, computer, place, self.seed)?;
        self.machines.push(machine);
        self.after_start(place)
    }

    pub(super) async fn restart_service(&mut self) -> Result<(), Ended> {
        self.tally.count("fault: service restarted");
        self.say("the service starts again".to_owned());
        self.host.restart().await?;
        self.network.lead_to(self.host.router());
        Ok(())
    }

    pub(super) async fn copy_service(&mut self) -> Result<(), Ended> {
        self.say("the service is copied".to_owned());
        self.service_copy = Some(self.host.copy("service-copy").await?);
        self.network.lead_to(self.host.router());
        Ok(())
    }

    /// The service forgets every void row, as if all of them were old enough. What they said stays in its history.
    async fn let_tombstones_go(&mut self) -> Result<(), Ended> {
        self.observe().await?;
        let rest = self.rest().await?;
        let keeping = Keeping {
            now_ms: self.now,
            keep_ms: 0,
        };
        let practice = self.template.cast.practice;
        let collected = self.host.storage().collect_tombstones(practice, keeping).await?;
        self.say(format!("{} void rows go, up to {}", collected.rows, collected.floor));
        let void = rest.rows.into_values().filter(|row| row.deleted);
        if collected.rows > 0 {
            self.tally.count("fault: void rows forgotten");
        }
        self.model.went(void);
        Ok(())
    }

    /// From now on a row may be changed by programs of a later version alone: what the ones here do to it is held until they are newer.
    async fn keep_a_row_for_newer_programs(&mut self) -> Result<(), Ended> {
        let beside = |key: &&EntityKey| matches!(key.kind.as_str(), "related_person" | "document" | "location");
        let rows: Vec<EntityKey> = self.model.rows.keys().filter(beside).cloned().collect();
        let Some(key) = self.chance.pick(&rows).cloned() else {
            return Ok(());
        };
        self.tally.count("fault: row kept for newer programs");
        self.say(format!("{}/{} is for newer programs", key.kind, key.id));
        self.host.keep_for_newer_programs(&key).await?;
        self.network.lead_to(self.host.router());
        Ok(())
    }

    /// The program of a computer is updated while its work waits, or the earlier one is put back.
    async fn change_program(&mut self, place: usize) -> Result<(), Ended> {
        let is_newer = !self.machines[place].is_newer;
        self.machines[place].is_newer = is_newer;
        self.tally.count(if is_newer {
            "fault: program updated"
        } else {
            "fault: earlier program put back"
        });
        self.say(format!("the program of {place} is newer: {is_newer}"));
        self.kill(place).await?;
        for _ in 0..if is_newer { MOST_HELD } else { 0 } {
            self.perform(place, &actions::GO_OUT)?;
        }
        Ok(())
    }

    /// A computer other than the first is taken out. What it has not shared stays in its files.
    async fn revoke(&mut self, place: usize) -> Result<(), Ended> {
        let computer = self.machines[place].computer;
        if computer == self.machines[0].computer {
            return Ok(());
        }
        let device = self.template.cast.computers[computer].device;
        let practice = self.template.cast.practice;
        if self.host.storage().revoke_device(practice, device).await? {
            self.tally.count("fault: computer revoked");
            self.say(format!("{place} is revoked"));
        }
        Ok(())
    }

    pub(super) async fn put_service_back(&mut self) -> Result<(), Ended> {
        let Some(copy) = self.service_copy.clone() else {
            return Ok(());
        };
        self.tally.count("fault: service restored from an older copy");
        self.say("the service is put back".to_owned());
        // Its connections break; what was under way in them reaches nobody.
        for place in 0..self.machines.len() {
            self.end_rounds_of(place).await;
        }
        self.host.put_back(&copy).await?;
        if self.chance.percent(50) {
            // As the command does; otherwise somebody put the files back and said nothing.
            let epoch = format!("history-{}", self.lines.len());
            let practice = self.template.cast.practice;
            self.host.storage().begin_epoch(practice, &epoch).await?;
            self.tally.count("fault: a new history begun");
        }
        self.network.lead_to(self.host.router());
        let machines = &self.machines;
        self.model.service_was_put_back(|(key, name), write| {
            let Some(file) = machines
                .get(write.file / 2)
                .and_then(|machine| machine.file(write.file))
            else {
                return false;
            };
            // Whether it waits or was acknowledged: what the service lost is offered back.
            let shown = file.store.read(|read| read.get(key)).ok().flatten();
            shown.is_some_and(|shown| crate::model::values(key, &shown.doc).get(name) == write.value.as_ref())
        });
        self.put_back = true;
        self.observe().await
    }
}
