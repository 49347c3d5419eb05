//! Starting, ending, TLS, and what the service says about itself.

use std::os::unix::fs::PermissionsExt as _;

use caseload_domain::Scope;
use caseload_service::master_key::MasterKeyError;
use caseload_service::{MasterKeySource, Service, ServiceConfig, StartError, Transport};

use crate::clinic::{Clinic, Folders, Http};

#[tokio::test]
async fn what_was_acknowledged_is_there_after_a_restart() {
    let (clinic, owner) = Clinic::with_owner().await;
    let me = owner.member;
    me.create_client(&clinic, 1).await;
    let before = me.pull_all(&clinic.http, me.office, &[Scope::Office]).await;
    let Clinic { folders, service, .. } = clinic;
    service.shutdown().await;
    let clinic = Clinic::start_in(folders).await;
    let after = me.pull_all(&clinic.http, me.office, &[Scope::Office]).await;
    assert_eq!(after, before, "also the session is still the same");
}

#[tokio::test]
async fn one_data_folder_serves_one_service() {
    let clinic = Clinic::start().await;
    let second = Service::start(clinic.folders.config()).await;
    assert!(matches!(second, Err(StartError::InUse)));
    let mode = std::fs::metadata(clinic.folders.data()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
}

#[tokio::test]
async fn plain_http_beyond_this_machine_is_refused_before_anything_is_made() {
    let folders = Folders::new();
    for address in [[0, 0, 0, 0], [192, 168, 1, 20]] {
        let config = ServiceConfig {
            listen: (address, 0).into(),
            transport: Transport::PlainHttp,
            ..folders.config()
        };
        assert!(matches!(
            Service::start(config).await,
            Err(StartError::PlainHttpBeyondLoopback)
        ));
    }
    assert!(!folders.data().exists());
}

#[tokio::test]
async fn beyond_this_machine_the_service_speaks_tls_under_its_own_authority() {
    let folders = Folders::new();
    let config = || ServiceConfig {
        listen: ([0, 0, 0, 0], 0).into(),
        ..folders.config()
    };
    let service = Service::start(config()).await.unwrap();
    let pin = service.pin().expect("TLS");
    let port = service.address().port();
    let client = reqwest::Client::builder()
        .no_proxy()
        .tls_danger_accept_invalid_certs(true)
        .build()
        .unwrap();
    let answer = client
        .get(format!("https://127.0.0.1:{port}/healthz"))
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status().as_u16(), 200);
    assert!(
        client
            .get(format!("http://127.0.0.1:{port}/healthz"))
            .send()
            .await
            .is_err(),
        "no plain HTTP"
    );
    let trusting_public_authorities = reqwest::Client::builder().no_proxy().build().unwrap();
    assert!(
        trusting_public_authorities
            .get(format!("https://127.0.0.1:{port}/healthz"))
            .send()
            .await
            .is_err()
    );
    service.shutdown().await;
    let again = Service::start(config()).await.unwrap();
    assert_eq!(again.pin(), Some(pin), "devices know it by the same pin");
}

#[tokio::test]
async fn a_master_key_in_the_data_folder_stops_the_start() {
    let folders = Folders::new();
    let file = folders.data().join("master-key");
    caseload_service::master_key::create(&file).unwrap();
    let config = ServiceConfig {
        master_key: MasterKeySource::File(file),
        ..folders.config()
    };
    let started = Service::start(config).await;
    assert!(matches!(
        started,
        Err(StartError::MasterKey(MasterKeyError::InsideDataFolder))
    ));
}

#[tokio::test]
async fn another_master_key_opens_nothing_and_breaks_nothing() {
    let (clinic, owner) = Clinic::with_owner().await;
    owner.member.create_client(&clinic, 1).await;
    let Clinic { folders, service, .. } = clinic;
    service.shutdown().await;
    let other = folders.root().join("other-key");
    caseload_service::master_key::create(&other).unwrap();
    let config = ServiceConfig {
        master_key: MasterKeySource::File(other),
        ..folders.config()
    };
    let wrong = Service::start(config).await;
    assert!(matches!(
        wrong,
        Err(StartError::Open(caseload_service::storage::OpenError::WrongKey))
    ));
    let clinic = Clinic::start_in(folders).await;
    assert_eq!(
        owner
            .member
            .pull_all(&clinic.http, owner.member.office, &[Scope::Office])
            .await
            .rows
            .len(),
        2
    );
}

#[tokio::test]
async fn health_and_counts_say_nothing_about_anybody() {
    let (clinic, owner) = Clinic::with_owner().await;
    owner.member.create_client(&clinic, 1).await;
    let health = clinic.http.get("/healthz").await;
    assert_eq!((health.status, health.body.as_slice()), (200, &b"{}"[..]));
    assert_eq!(health.headers["cache-control"], "no-store");
    let counts = String::from_utf8(clinic.http.get("/metrics").await.body).unwrap();
    assert!(counts.contains("caseload_operations_total 2\n"), "{counts}");
    assert!(
        counts
            .lines()
            .all(|line| line.starts_with("caseload_") && !line.contains(&owner.member.practice.to_string()))
    );
}

#[tokio::test]
async fn an_ended_service_answers_no_more() {
    let Clinic { service, folders, .. } = Clinic::start().await;
    let url = service.url();
    service.shutdown().await;
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    assert!(client.get(format!("{url}/healthz")).send().await.is_err());
    let Clinic { http, .. } = Clinic::start_in(folders).await;
    let _reachable_again: Http = http;
}
