//! `caseload`: the practice without a window, and the program of the central service.
//!
//! Everything here is a use case of `caseload-app` with arguments instead of forms; the rules are there. Answers go to standard output, logs and
//! questions to standard error. The exit code is 0, 1 for a refusal (its code is printed), 2 for wrong arguments.

mod arguments;
mod computers;
mod documents;
mod mongodb;
mod output;
mod passphrase;
mod people;
mod practice;
mod records;
mod schedule;
mod service;
mod settle;
mod signed_in;

use std::io::IsTerminal;
use std::process::ExitCode;

use caseload_app::dto::{AppError, ErrorCode};
use clap::Parser;
use tracing_subscriber::EnvFilter;

use crate::arguments::{Arguments, Command};

/// A command that was understood and not done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The practice refused, with the public code.
    #[error("{}", describe(.0))]
    Refused(AppError),
    /// It was answered with a choice for a person to make, which is printed.
    #[error("{0}")]
    Undecided(&'static str),
    /// The arguments name nothing that exists, or cannot be read.
    #[error("{0}")]
    Usage(&'static str),
    /// Something outside the practice failed.
    #[error(transparent)]
    Other(#[from] anyhow::Error),
}

impl From<AppError> for Failure {
    fn from(error: AppError) -> Self {
        Self::Refused(error)
    }
}

impl From<ErrorCode> for Failure {
    fn from(code: ErrorCode) -> Self {
        Self::Refused(AppError {
            code,
            fields: Vec::new(),
            retry: false,
        })
    }
}

/// What a command gives back.
pub(crate) type Done = Result<(), Failure>;

fn describe(error: &AppError) -> String {
    serde_json::to_string(error).unwrap_or_else(|_| "internal".to_owned())
}

#[tokio::main]
async fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_env_filter(
            EnvFilter::try_from_env("CASELOAD_LOG").unwrap_or_else(|_| EnvFilter::new("warn,caseload=info")),
        )
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .init();
    match run(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            report(&failure);
            ExitCode::from(if matches!(failure, Failure::Usage(_)) { 2 } else { 1 })
        }
    }
}

#[expect(clippy::print_stderr, reason = "a refusal is told on standard error")]
fn report(failure: &Failure) {
    match failure {
        Failure::Other(error) => eprintln!("caseload: {error:#}"),
        refused => eprintln!("caseload: {refused}"),
    }
}

async fn run(arguments: Arguments) -> Done {
    let Arguments {
        profile,
        json,
        user,
        passphrase_file,
        command,
    } = arguments;
    let form = if json { output::Form::Json } else { output::Form::Lines };
    let context = signed_in::Context {
        profile,
        user,
        passphrase_file,
        form,
    };
    match command {
        Command::Service(options) => service::run(options).await.map_err(Failure::from),
        Command::MongoDb(command) => mongodb::run(form, command).await.map_err(Failure::from),
        Command::ServiceRestore(options) => service::restore(&context, options).await,
        Command::ServiceBackup(options) => service::backup(options).await.map_err(Failure::from),
        Command::Demo { data } => practice::demo(&context, &data),
        Command::Verify { file, root } => records::verify(&context, &file, root.as_deref()),
        Command::Create(options) => practice::create(&context, options).await,
        Command::Join(options) => practice::join(&context, options).await,
        Command::Recover { code } => practice::recover(&context, code).await,
        Command::Status => practice::status(&context),
        Command::Publish(options) => practice::publish(&context, options).await,
        Command::Enrol(options) => practice::enrol(&context, options).await,
        Command::Staff => practice::staff(&context).await,
        Command::Computers(command) => computers::computers(&context, command).await,
        Command::Today { date } => schedule::today(&context, date).await,
        Command::Clients(command) => people::clients(&context, command).await,
        Command::Appointments(command) => schedule::appointments(&context, command).await,
        Command::Notes(command) => records::notes(&context, command).await,
        Command::Prescriptions(command) => records::prescriptions(&context, command).await,
        Command::Documents(command) => documents::documents(&context, command).await,
        Command::Conflicts(command) => settle::conflicts(&context, command).await,
        Command::Clashes(command) => settle::clashes(&context, command).await,
        Command::Reoffers(command) => settle::reoffers(&context, command).await,
        Command::Refused(command) => settle::refused(&context, command).await,
        Command::Sync => settle::sync(&context).await,
        Command::Checksum => settle::checksum(&context).await,
        Command::Audit(arguments::Audit::Verify) => settle::verify_audit(&context).await,
    }
}
