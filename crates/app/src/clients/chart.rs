//! The clinical part of the header: allergies, risk, safety plan. Written in the clinical file alone.

use caseload_domain::search::fold;
use caseload_domain::{ClientId, Document, EntityId};
use serde_json::{Value, json};

use crate::app::{App, Core};
use crate::checks::{self, Checks};
use crate::dto::{AppError, ClientRecord, SaveChart};
use crate::fault::{Fault, answer};
use crate::login::Login;
use crate::practice::document;
use crate::views::header::{chart_key, risk_name};
use crate::views::office::Office;

impl App {
    /// Changes what heads the client's record for clinicians; what is absent stays.
    ///
    /// # Errors
    /// `forbidden` for everyone who does not treat her; `invalid_fields`.
    pub fn save_chart(&self, request: SaveChart) -> Result<ClientRecord, AppError> {
        answer(
            "save_chart",
            self.core.login().and_then(|login| save(&self.core, &login, &request)),
        )
    }
}

fn save(core: &Core, login: &Login, request: &SaveChart) -> Result<ClientRecord, Fault> {
    let client: ClientId = checks::id(&request.client_id)?;
    login.require_care(client)?;
    let mut check = Checks::default();
    for (index, allergy) in request.allergies.iter().flatten().enumerate() {
        check.line(&format!("allergies.{index}"), allergy);
    }
    check.done()?;
    let today = login
        .office
        .read(|read| Ok::<_, Fault>(Office::read(read, core.now())?.today().to_string()))?;
    let key = chart_key(client);
    core.write_clinical(login, "chart.save", |tx| {
        let present = match tx.get(&key)? {
            Some(present) => present.doc,
            None => {
                tx.create(&key, document([("subject", json!({"client": client}))]))?;
                Document::default()
            }
        };
        if let Some(level) = request.risk {
            tx.overlay_unit(&key, "risk", json!({"level": risk_name(level), "assessed_on": today}))?;
        }
        if let Some(plan) = &request.safety_plan {
            tx.overlay_unit(&key, "safety_plan", json!({"text": plan.trim()}))?;
        }
        let Some(wanted) = &request.allergies else {
            return Ok(());
        };
        // Asked and none is another statement than never asked.
        tx.overlay_unit(&key, "intake", json!({"allergies_asked": true}))?;
        let mut kept = Vec::new();
        for substance in wanted.iter().map(|substance| substance.trim()) {
            // Two computers that note the same substance note one allergy.
            let element = EntityId::derived(&["allergy", &client.to_string(), &fold(substance)]).to_string();
            let known = present
                .unit("allergies")
                .and_then(|allergies| allergies.get(&element))
                .cloned();
            if known.is_none() {
                tx.add_element(&key, "allergies", &element, json!({"substance": substance}))?;
            }
            kept.push(element);
        }
        for element in present
            .unit("allergies")
            .and_then(Value::as_object)
            .into_iter()
            .flat_map(|all| all.keys())
        {
            if !kept.contains(element) {
                tx.remove_element(&key, "allergies", element)?;
            }
        }
        Ok(())
    })?;
    super::record(core, login, client)
}
