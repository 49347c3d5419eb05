//! The day and its appointments.

use caseload_app::dto::{
    AppointmentStatus, Book, BookOutcome, ById, CalendarRequest, ErrorCode, Modality, MoveAppointment, SetStatus,
    TodayRequest,
};

use crate::arguments::Appointments;
use crate::people::{find, therapist_id};
use crate::signed_in::Context;
use crate::{Done, Failure};

pub(crate) async fn today(context: &Context, date: Option<String>) -> Done {
    context.with(|app| Ok(app.today(TodayRequest { date })?)).await
}

pub(crate) async fn appointments(context: &Context, command: Appointments) -> Done {
    match command {
        Appointments::Book {
            client,
            therapist,
            when,
            minutes,
        } => {
            let outcome = context
                .done(|app| {
                    Ok(app.book(Book {
                        client_ids: vec![find(app, &client)?],
                        therapist_id: therapist_id(app, therapist.as_deref())?,
                        location_id: None,
                        room_id: None,
                        date: when.date,
                        start_time: when.time,
                        duration_minutes: minutes,
                        modality: Modality::InPerson,
                        override_reason: when.override_reason,
                    })?)
                })
                .await?;
            booked(context, &outcome)
        }
        Appointments::List { from, days } => {
            context
                .with(|app| {
                    Ok(app.calendar(CalendarRequest {
                        from,
                        days,
                        therapist_ids: Vec::new(),
                    })?)
                })
                .await
        }
        Appointments::Show { id } => context.with(|app| Ok(app.appointment(ById { id })?)).await,
        Appointments::Move { id, when } => {
            let outcome = context
                .done(|app| {
                    Ok(app.move_appointment(MoveAppointment {
                        id,
                        date: when.date,
                        start_time: when.time,
                        duration_minutes: None,
                        therapist_id: None,
                        room_id: None,
                        override_reason: when.override_reason,
                    })?)
                })
                .await?;
            booked(context, &outcome)
        }
        Appointments::Status { id, status, reason } => {
            let status: AppointmentStatus = serde_json::from_value(status.into())
                .map_err(|_| Failure::Usage("there is no such status; see `appointments status --help`"))?;
            context
                .with(|app| Ok(app.set_status(SetStatus { id, status, reason })?))
                .await
        }
    }
}

/// Prints what came of booking or moving; a time that is taken is a refusal, after what takes it and what is free instead.
fn booked(context: &Context, outcome: &BookOutcome) -> Done {
    context.print(outcome)?;
    match outcome {
        BookOutcome::Booked { .. } => Ok(()),
        BookOutcome::SlotTaken { .. } => Err(ErrorCode::SlotTaken.into()),
    }
}
