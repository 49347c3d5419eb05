//! The invented people and texts of the demonstration.

/// Somebody who works in the practice.
pub(super) struct Person {
    pub(super) name: &'static str,
    pub(super) role: &'static str,
    pub(super) licence: &'static str,
    pub(super) passphrase: &'static str,
}

/// An invented client.
pub(super) struct Client {
    pub(super) family: &'static str,
    pub(super) given: &'static str,
    pub(super) romanised: &'static str,
    pub(super) born: &'static str,
}

const fn client(family: &'static str, given: &'static str, romanised: &'static str, born: &'static str) -> Client {
    Client {
        family,
        given,
        romanised,
        born,
    }
}

pub(super) const PRACTICE: &str = "Riverside Therapy 강변심리상담";
pub(super) const LOCATION: &str = "Mapo 마포점";
pub(super) const ADDRESS: &str = "서울 마포구 강변로 12, 3층";
pub(super) const PHONE: &str = "02-312-4500";

/// The owner, a second therapist, the front desk.
pub(super) const STAFF: [Person; 3] = [
    Person {
        name: "Dr. Hana Seo",
        role: "therapist, owner",
        licence: "PSY-20417",
        passphrase: "quiet river morning",
    },
    Person {
        name: "정민호",
        role: "therapist",
        licence: "상담심리사 1급 3308",
        passphrase: "paper lantern hill",
    },
    Person {
        name: "Yuna Baek",
        role: "front desk",
        licence: "",
        passphrase: "sunflower by the door",
    },
];

/// The last ones were taken in by the desk, and nobody treats them yet.
pub(super) const WITHOUT_THERAPIST: usize = 2;

pub(super) const CLIENTS: [Client; 40] = [
    client("김", "서연", "Kim Seo-yeon", "1958-01-01"),
    client("Ellis", "Hannah", "", "1955-01-01"),
    client("최", "민준", "Choi Min-jun", "1965-06-12"),
    client("Okafor", "Daniel", "", "1966-08-14"),
    client("조", "지우", "Cho Ji-woo", "1972-11-23"),
    client("Brandt", "Lena", "", "1977-03-27"),
    client("임", "도윤", "Lim Do-yoon", "1979-04-06"),
    client("Moreau", "Claire", "", "1988-10-12"),
    client("박", "하은", "Park Ha-eun", "1986-09-17"),
    client("Novak", "Peter", "", "1999-05-25"),
    client("강", "준서", "Kang Jun-seo", "1993-02-28"),
    client("Hughes", "Megan", "", "2010-12-10"),
    client("장", "수아", "Jang Su-a", "2000-07-11"),
    client("Silva", "Rafael", "", "1964-07-23"),
    client("이", "예준", "Lee Ye-jun", "2007-12-22"),
    client("Andersen", "Ingrid", "", "1975-02-08"),
    client("정", "다은", "Jung Da-eun", "1959-05-05"),
    client("Walsh", "Conor", "", "1986-09-21"),
    client("윤", "현우", "Yoon Hyun-woo", "1966-10-16"),
    client("Petrov", "Anna", "", "1997-04-06"),
    client("김", "유진", "Kim Yu-jin", "1973-03-27"),
    client("Nguyen", "Linh", "", "2008-11-19"),
    client("최", "태민", "Choi Tae-min", "1980-08-10"),
    client("Carter", "James", "", "1962-06-04"),
    client("조", "소영", "Cho So-young", "1987-01-21"),
    client("Rossi", "Giulia", "", "1973-01-17"),
    client("임", "재훈", "Lim Jae-hoon", "1994-06-04"),
    client("Haddad", "Samir", "", "1984-08-02"),
    client("박", "은지", "Park Eun-ji", "2001-11-15"),
    client("Fischer", "Jonas", "", "1995-03-15"),
    client("강", "성민", "Kang Sung-min", "2008-04-26"),
    client("Murphy", "Aoife", "", "2006-10-28"),
    client("장", "나래", "Jang Na-rae", "1960-09-09"),
    client("Costa", "Beatriz", "", "1960-05-13"),
    client("이", "동현", "Lee Dong-hyun", "1967-02-20"),
    client("Larsen", "Emil", "", "1971-12-26"),
    client("정", "미영", "Jung Mi-young", "1974-07-03"),
    client("Patel", "Priya", "", "1982-07-11"),
    client("윤", "건우", "Yoon Gun-woo", "1981-12-14"),
    client("Weber", "Sophie", "", "1993-02-24"),
];

pub(super) const STREETS: [&str; 6] = ["마포대로", "독막로", "월드컵북로", "양화로", "서강로", "와우산로"];

pub(super) const RELATIVES: [&str; 8] = [
    "김영희",
    "Tom Ellis",
    "이정수",
    "Marta Novak",
    "박은경",
    "Karin Weber",
    "최성호",
    "Rosa Silva",
];

/// Texts for a section of a note.
pub(super) fn texts(section: &str) -> &'static [&'static str] {
    match section {
        "subjective" | "data" => &[
            "Reports sleeping better since last week, about six hours a night. Still wakes before the alarm on workdays.",
            "회의 전날 긴장이 심했으나 호흡 연습을 하고 나서 발표를 끝까지 마쳤다고 함.",
            "Describes an argument with her sister and how long it stayed with her. Named the feeling without being asked.",
            "지난주보다 식욕이 돌아왔고 산책을 네 번 했다고 보고함. 주말에는 여전히 기운이 없음.",
            "Says the week was quiet. Kept the thought record on four of seven days and brought it along.",
        ],
        "objective" => &[
            "On time, well oriented, speech of normal pace. Affect warmer than in earlier sessions.",
            "눈맞춤이 늘고 말의 속도가 안정됨. 자해 사고 부인.",
            "Tearful when speaking of work, recovered within minutes. No signs of acute risk.",
        ],
        "assessment" => &[
            "Steady improvement. Avoidance is smaller, self-criticism remains the main theme.",
            "불안 수준 감소. 회피 행동이 줄고 자기 효능감이 늘어나는 중.",
            "Mood stable, gains hold between sessions. Ready for the next step of the exposure plan.",
        ],
        _ => &[
            "Continue weekly. Thought record daily, one planned activity on the weekend.",
            "다음 회기까지 호흡 연습 하루 두 번, 노출 과제 3단계.",
            "Review the sleep diary next time; agree on who to call on a bad evening.",
        ],
    }
}
