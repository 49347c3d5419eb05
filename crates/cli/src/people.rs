//! Clients.

use caseload_app::App;
use caseload_app::dto::{
    Address, ById, ClientDetails, ClientName, ClientPatch, CreateClient, CreateClientOutcome, EndCare, GrantCare,
    Permission, SaveChart, SearchClients, UpdateClient,
};

use crate::arguments::{self, Clients};
use crate::signed_in::Context;
use crate::{Done, Failure};

/// More clients than anyone lists on a terminal.
const LIST_LIMIT: u32 = 200;

pub(crate) async fn clients(context: &Context, command: Clients) -> Done {
    match command {
        Clients::Add {
            family,
            given,
            details,
            force,
        } => {
            let outcome = context
                .done(|app| {
                    Ok(app.create_client(CreateClient {
                        details: new_details(family, given, details),
                        force,
                    })?)
                })
                .await?;
            context.print(&outcome)?;
            match outcome {
                CreateClientOutcome::Created { .. } => Ok(()),
                CreateClientOutcome::LooksLike { .. } => Err(Failure::Undecided(
                    "somebody alike is here already: add with --force all the same",
                )),
            }
        }
        Clients::List { query } => {
            context
                .with(|app| {
                    Ok(app.search_clients(SearchClients {
                        query,
                        limit: LIST_LIMIT,
                    })?)
                })
                .await
        }
        Clients::Show { client } => {
            context
                .with(|app| {
                    Ok(app.client(ById {
                        id: find(app, &client)?,
                    })?)
                })
                .await
        }
        Clients::Set { client, details } => {
            context
                .with(|app| {
                    let record = app.client(ById {
                        id: find(app, &client)?,
                    })?;
                    let patch = changes(&record.details, details);
                    Ok(app.update_client(UpdateClient { id: record.id, patch })?)
                })
                .await
        }
        Clients::Care { client, therapist } => {
            context
                .with(|app| {
                    let therapist_id = therapist_id(app, Some(&therapist))?;
                    Ok(app.grant_care(GrantCare {
                        client_id: find(app, &client)?,
                        therapist_id,
                    })?)
                })
                .await
        }
        Clients::EndCare { client, therapist } => {
            context
                .with(|app| {
                    let therapist_id = therapist_id(app, Some(&therapist))?;
                    let client_id = find(app, &client)?;
                    Ok(app.end_care(EndCare {
                        client_id,
                        therapist_id,
                    })?)
                })
                .await
        }
        Clients::Chart {
            client,
            allergy,
            safety_plan,
        } => {
            context
                .with(|app| {
                    let allergies = Some(allergy).filter(|all| !all.is_empty());
                    Ok(app.save_chart(SaveChart {
                        client_id: find(app, &client)?,
                        allergies,
                        risk: None,
                        safety_plan,
                    })?)
                })
                .await
        }
    }
}

/// The id of the one client who has this id or number, or whom this query finds alone.
pub(crate) fn find(app: &App, wanted: &str) -> Result<String, Failure> {
    if wanted.len() == 36 {
        return Ok(wanted.to_owned());
    }
    let found = app.search_clients(SearchClients {
        query: wanted.to_owned(),
        limit: 2,
    })?;
    match found.rows.as_slice() {
        [only] => Ok(only.id.clone()),
        [] => Err(Failure::Usage("no client matches")),
        _ => Err(Failure::Usage("several clients match: give the number or the id")),
    }
}

/// The id of a therapist by name or id; of the person signed in without one.
pub(crate) fn therapist_id(app: &App, wanted: Option<&str>) -> Result<String, Failure> {
    match wanted {
        None => app
            .status()?
            .session
            .map(|session| session.user_id)
            .ok_or(Failure::Usage("nobody is signed in")),
        Some(wanted) => app
            .staff()?
            .into_iter()
            .find(|member| member.id == wanted || member.name == wanted)
            .map(|member| member.id)
            .ok_or(Failure::Usage("nobody of this name works here")),
    }
}

fn new_details(family: String, given: String, typed: arguments::ClientDetails) -> ClientDetails {
    ClientDetails {
        name: ClientName {
            family,
            given,
            preferred: typed.preferred.unwrap_or_default(),
            romanised: String::new(),
        },
        birth_date: typed.birth_date,
        pronouns: String::new(),
        phone: typed.phone.unwrap_or_default(),
        other_phone: String::new(),
        email: typed.email.unwrap_or_default(),
        address: Address {
            line1: typed.street.unwrap_or_default(),
            line2: String::new(),
            city: typed.city.unwrap_or_default(),
            region: String::new(),
            postcode: String::new(),
            country: String::new(),
        },
        voicemail: Permission::NotAsked,
        sms: Permission::NotAsked,
        office_alert: typed.alert.unwrap_or_default(),
    }
}

fn changes(present: &ClientDetails, typed: arguments::ClientDetails) -> ClientPatch {
    let address = (typed.street.is_some() || typed.city.is_some()).then(|| Address {
        line1: typed.street.unwrap_or_else(|| present.address.line1.clone()),
        city: typed.city.unwrap_or_else(|| present.address.city.clone()),
        ..present.address.clone()
    });
    let name = typed.preferred.map(|preferred| ClientName {
        preferred,
        ..present.name.clone()
    });
    ClientPatch {
        name,
        birth_date: typed.birth_date,
        phone: typed.phone,
        email: typed.email,
        address,
        office_alert: typed.alert,
        ..ClientPatch::default()
    }
}
