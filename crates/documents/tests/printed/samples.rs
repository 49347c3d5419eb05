//! Sheets as a practice would print them. People, numbers and drugs' uses are invented.

use caseload_documents::{
    Allergies, ClientIdentity, DaySheet, DaySheetRow, EnteredInError, Language, NoteAddendum, NoteSection, NoteSheet,
    NoteSignature, Practice, PrescriptionLine, PrescriptionSheet, PrescriptionState, Professional, RecoverySheet,
    SessionFacts,
};

/// An issued prescription with two items, in English.
pub(crate) fn prescription() -> PrescriptionSheet {
    PrescriptionSheet {
        language: Language::En,
        practice: practice(),
        prescriber: professional(),
        client: client(),
        number: "RX-2-17".into(),
        replaces: String::new(),
        issued_on: "4 May 2026".into(),
        copy: 1,
        state: PrescriptionState::Issued,
        allergies: Allergies::Listed(vec!["Penicillin".into(), "latex".into()]),
        diagnosis: "F41.1 Generalised anxiety disorder".into(),
        lines: vec![
            PrescriptionLine {
                drug: "Sertraline".into(),
                form: "tablet".into(),
                strength: "50 mg".into(),
                dose: "1 tablet".into(),
                route: "by mouth".into(),
                frequency: "once a day, in the morning".into(),
                duration: "30 days".into(),
                quantity: "30 tablets".into(),
                refills: "2".into(),
            },
            PrescriptionLine {
                drug: "Propranolol".into(),
                form: "tablet".into(),
                strength: "10 mg".into(),
                dose: "1 tablet".into(),
                route: "by mouth".into(),
                frequency: "when needed, at most three times a day".into(),
                duration: "14 days".into(),
                quantity: "20 tablets".into(),
                refills: "0".into(),
            },
        ],
        instructions: "Take with food. Do not stop suddenly; call the practice first.\nNext review on 1 June.".into(),
    }
}

/// The same in Korean.
pub(crate) fn korean_prescription() -> PrescriptionSheet {
    PrescriptionSheet {
        language: Language::Ko,
        practice: korean_practice(),
        prescriber: korean_professional(),
        client: korean_client(),
        issued_on: "2026년 5월 4일".into(),
        allergies: Allergies::Listed(vec!["페니실린".into()]),
        diagnosis: "F41.1 범불안장애".into(),
        lines: vec![PrescriptionLine {
            drug: "설트랄린".into(),
            form: "정".into(),
            strength: "50 mg".into(),
            dose: "1정".into(),
            route: "경구".into(),
            frequency: "1일 1회, 아침 식후".into(),
            duration: "30일".into(),
            quantity: "30정".into(),
            refills: "2회".into(),
        }],
        instructions: "식사와 함께 복용하세요. 갑자기 중단하지 마시고 먼저 연락해 주세요.".into(),
        ..prescription()
    }
}

/// A signed note with one addendum, in English.
pub(crate) fn note() -> NoteSheet {
    NoteSheet {
        language: Language::En,
        practice: practice(),
        client: client(),
        session: SessionFacts {
            time: "4 May 2026, 10:00–10:50".into(),
            zone: "Asia/Seoul (UTC+9)".into(),
            service: "Individual session".into(),
            modality: "In person".into(),
        },
        author: professional(),
        format: "DAP".into(),
        sections: vec![
            NoteSection {
                heading: "Data".into(),
                text: "Reports sleeping six hours on most nights, up from four.\nRehearsed the phone call she had put off; made it during the session.\n\nMood steady, speech unhurried.".into(),
            },
            NoteSection { heading: "Assessment".into(), text: "Avoidance is giving way. GAD-7: 9 (was 13).".into() },
            NoteSection { heading: "Plan".into(), text: "Two more calls before next week. Continue weekly.".into() },
        ],
        signature: Some(signature("4 May 2026, 11:05 (UTC+9)", "3f9a c27b 10de")),
        addenda: vec![NoteAddendum {
            author: professional(),
            text: "The previous GAD-7 score was 12, not 13.".into(),
            signature: signature("5 May 2026, 08:40 (UTC+9)", "b810 44fe 2c09"),
        }],
        entered_in_error: None,
    }
}

/// The same in Korean, marked as entered in error.
pub(crate) fn korean_note_in_error() -> NoteSheet {
    NoteSheet {
        language: Language::Ko,
        practice: korean_practice(),
        client: korean_client(),
        session: SessionFacts {
            time: "2026년 5월 4일 10:00–10:50".into(),
            zone: "Asia/Seoul (UTC+9)".into(),
            service: "개인 상담".into(),
            modality: "대면".into(),
        },
        author: korean_professional(),
        sections: vec![NoteSection {
            heading: "내용".into(),
            text: "대부분의 밤에 여섯 시간 정도 잔다고 함. 미루던 전화를 회기 중에 연습하고 실제로 걸었음.".into(),
        }],
        addenda: Vec::new(),
        entered_in_error: Some(EnteredInError {
            marked_at: "2026년 5월 6일 09:12".into(),
            marked_by: "박민지".into(),
            reason: "다른 내담자의 기록에 작성함".into(),
        }),
        ..note()
    }
}

/// The whole office's day, in English.
pub(crate) fn office_day() -> DaySheet {
    let row = |time: &str, client: &str, therapist: &str, status: &str, room: &str, modality: &str| DaySheetRow {
        time: time.into(),
        client: client.into(),
        therapist: therapist.into(),
        status: status.into(),
        room: room.into(),
        modality: modality.into(),
        called_off: status == "Cancelled",
    };
    DaySheet {
        language: Language::En,
        practice: practice(),
        day: "Monday, 4 May 2026".into(),
        owner: "Whole office".into(),
        zone: "Asia/Seoul (UTC+9)".into(),
        printed_at: "4 May 2026, 07:55".into(),
        rows: vec![
            row(
                "09:00–09:50",
                "Hana Kim",
                "Minji Park",
                "Confirmed",
                "Room 2",
                "In person",
            ),
            row("09:30–10:20", "J. O.", "Daniel Weiss", "Cancelled", "", "Video"),
            row(
                "10:00–11:15",
                "A. and S. Meyer",
                "Minji Park",
                "Arrived",
                "Room 1",
                "In person",
            ),
            row("14:00–14:50", "Tomás Ibáñez", "Daniel Weiss", "Booked", "", "Voice"),
        ],
    }
}

/// One therapist's day in Korean, clients by initials.
pub(crate) fn korean_therapist_day() -> DaySheet {
    let row = |time: &str, client: &str, status: &str, room: &str| DaySheetRow {
        time: time.into(),
        client: client.into(),
        status: status.into(),
        room: room.into(),
        modality: "대면".into(),
        ..DaySheetRow::default()
    };
    DaySheet {
        language: Language::Ko,
        practice: korean_practice(),
        day: "2026년 5월 4일 월요일".into(),
        owner: "박민지".into(),
        rows: vec![
            row("09:00–09:50", "ㄱㅎㄴ", "확정", "2호실"),
            row("10:00–10:50", "ㅇㅅㅈ", "예약", "1호실"),
        ],
        printed_at: "2026년 5월 4일 07:55".into(),
        zone: "Asia/Seoul (UTC+9)".into(),
    }
}

/// A recovery code, in English.
pub(crate) fn recovery_sheet() -> RecoverySheet {
    RecoverySheet {
        language: Language::En,
        practice: practice(),
        person: "Dr. Minji Park".into(),
        groups: recovery_groups(),
        made_on: "4 May 2026".into(),
    }
}

/// The same in Korean.
pub(crate) fn korean_recovery_sheet() -> RecoverySheet {
    RecoverySheet {
        language: Language::Ko,
        practice: korean_practice(),
        person: "박민지".into(),
        groups: recovery_groups(),
        made_on: "2026년 5월 4일".into(),
    }
}

fn recovery_groups() -> Vec<String> {
    ["ME7K", "8TR8", "H6RS", "A967", "PF9V", "NAYK", "261P", "NVG1", "BXZ9"]
        .map(str::to_owned)
        .to_vec()
}

fn practice() -> Practice {
    Practice {
        name: "Riverside Counselling".into(),
        address: "12 Mapo-daero, 3rd floor\nMapo-gu, Seoul 04175".into(),
        phone: "02-555-0142".into(),
    }
}

fn korean_practice() -> Practice {
    Practice {
        name: "강변 마음상담센터".into(),
        address: "서울특별시 마포구 마포대로 12, 3층".into(),
        phone: "02-555-0142".into(),
    }
}

fn professional() -> Professional {
    Professional {
        name: "Minji Park, MD".into(),
        profession: "Psychiatrist".into(),
        licence: "KR-48213".into(),
    }
}

fn korean_professional() -> Professional {
    Professional {
        name: "박민지".into(),
        profession: "정신건강의학과 전문의".into(),
        licence: "제48213호".into(),
    }
}

fn client() -> ClientIdentity {
    ClientIdentity {
        name: "Hana Kim".into(),
        birth_date: "2 April 1986".into(),
        number: "C-0204".into(),
    }
}

fn korean_client() -> ClientIdentity {
    ClientIdentity {
        name: "김하나".into(),
        birth_date: "1986년 4월 2일".into(),
        number: "C-0204".into(),
    }
}

fn signature(signed_at: &str, short_hash: &str) -> NoteSignature {
    NoteSignature {
        signed_at: signed_at.into(),
        device: "Consulting room laptop".into(),
        short_hash: short_hash.into(),
        proof: "Ed25519, key 7c1d 90aa, valid".into(),
    }
}
