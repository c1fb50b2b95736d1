"""Closed lists of the customers plugin, each value with its Chinese and English label."""

from guanxi_sdk import Choice


class Owner(Choice):
    """Who owns a customer: the company alone (domain rule C1)."""

    COMPANY = "COMPANY", "公司资产", "Company asset"


class IndustryClass(Choice):
    """What kind of body a customer is (domain rule 004-06)."""

    TRADE = "TRADE", "贸易", "Trade"
    PRODUCTION = "PRODUCTION", "生产", "Production"
    SERVICE = "SERVICE", "服务", "Service"
    EDUCATION = "EDUCATION", "教育", "Education"
    LAW = "LAW", "法律", "Law"
    MILITARY = "MILITARY", "军队", "Military"
    GOVERNMENT = "GOVERNMENT", "政府", "Government"
    OTHER = "OTHER", "其他", "Other"


class Lifecycle(Choice):
    """How far the relation has come (domain rule 001-01, C1)."""

    POTENTIAL = "POTENTIAL", "潜在客户", "Potential"
    ACTUAL = "ACTUAL", "现实客户", "Actual"
    LOYAL = "LOYAL", "忠诚客户", "Loyal"
    LOST = "LOST", "流失客户", "Lost"


class CreditGrade(Choice):
    """How reliably a customer pays (domain rule 002-11)."""

    GOOD = "GOOD", "信用良好", "Good"
    FAIR = "FAIR", "信用一般", "Fair"
    POOR = "POOR", "信用较差", "Poor"


class Line(Choice):
    """The line on which one of our people works (domain rule 000-08, B5)."""

    CUSTOMER = "CUSTOMER", "客户线", "Customer line"
    PRODUCT = "PRODUCT", "产品线", "Product line"
    DELIVERY = "DELIVERY", "交付线", "Delivery line"


class DecisionRole(Choice):
    """The part a person plays in the customer's decisions (domain rule B4)."""

    A = "A", "审批", "Approver"
    D = "D", "决策", "Decider"
    S = "S", "支撑", "Supporter"
    E = "E", "评估", "Evaluator"
    I = "I", "影响", "Influencer"  # noqa: E741  the letters are the domain's own
    NONE = "NONE", "无", "None"


class ActivityKind(Choice):
    """What was done with a customer: one-five-one (一五一工程), and more (domain rule C1, B6)."""

    COMPANY_VISIT = "COMPANY_VISIT", "参观公司", "Company visit"
    SHOWCASE_VISIT = "SHOWCASE_VISIT", "参观样板点", "Showcase visit"
    ONSITE_MEETING = "ONSITE_MEETING", "现场会", "On-site meeting"
    TECHNICAL_EXCHANGE = "TECHNICAL_EXCHANGE", "技术交流", "Technical exchange"
    EXECUTIVE_CALL = "EXECUTIVE_CALL", "高层拜访", "Executive call"
    THIRD_PARTY_EVENT = "THIRD_PARTY_EVENT", "第三方活动", "Third-party event"
    MANAGEMENT_STUDY = "MANAGEMENT_STUDY", "管理和经营研究", "Management and operations study"
    VISIT = "VISIT", "拜访", "Visit"
    CALL = "CALL", "电话", "Call"
    MEAL = "MEAL", "宴请", "Meal"
    TRAVEL = "TRAVEL", "旅行", "Travel"
    GIFT = "GIFT", "礼品", "Gift"


class ActivityStatus(Choice):
    """How far an activity has come (domain rule C1)."""

    PLANNED = "PLANNED", "计划", "Planned"
    DONE = "DONE", "完成", "Done"
    CANCELLED = "CANCELLED", "取消", "Cancelled"
