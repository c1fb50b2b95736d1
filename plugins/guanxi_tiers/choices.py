"""Closed lists of the tiers plugin, each value with its Chinese and English label."""

from guanxi_sdk import Choice


class Tier(Choice):
    """How much a customer matters (客户分级; domain rule 002-05, B2)."""

    S = "S", "战略", "Strategic"
    A = "A", "伙伴", "Partner"
    B = "B", "优先", "Priority"
    C = "C", "一般", "General"


class TierInputName(Choice):
    """What a tier is judged by (domain rule F1)."""

    STRATEGIC_FIT = "STRATEGIC_FIT", "战略契合度", "Strategic fit"
    GROWTH = "GROWTH", "增长", "Growth"
    PROFIT = "PROFIT", "利润", "Profit"
    PURCHASE = "PURCHASE", "采购额", "Purchase"
    INFLUENCE = "INFLUENCE", "影响力", "Influence"
    CREDIT = "CREDIT", "信用", "Credit"


class AssessedInput(Choice):
    """Inputs that no other data tells, so that somebody has to assess them (domain rule F1)."""

    STRATEGIC_FIT = "STRATEGIC_FIT", "战略契合度", "Strategic fit"
    PROFIT = "PROFIT", "利润", "Profit"
    INFLUENCE = "INFLUENCE", "影响力", "Influence"


class TierInputSource(Choice):
    """Where the value of an input comes from."""

    COMPUTED = "COMPUTED", "计算", "Computed"
    ASSESSED = "ASSESSED", "评估", "Assessed"


class TierCombination(Choice):
    """How the answers of several strategies become one tier; who knows nothing is left out."""

    FIRST = "FIRST", "取首个有结论者", "The first that knows"
    BEST = "BEST", "取最高", "The best of all"
    WORST = "WORST", "取最低", "The worst of all"


class Triage(Choice):
    """How clear a customer's need is (三分法; domain rule 004-07)."""

    CLEAR = "CLEAR", "需求明确", "Clear need"
    HOPEFUL = "HOPEFUL", "有希望", "Unclear but hopeful"
    NONE = "NONE", "基本无需求", "Basically none"


class SchemeState(Choice):
    """What has become of a scheme for deciding tiers."""

    DRAFT = "DRAFT", "草案", "Draft"
    SHADOW = "SHADOW", "影子运行", "In shadow"
    IN_FORCE = "IN_FORCE", "生效", "In force"
    RETIRED = "RETIRED", "停用", "Retired"


class Requirement(Choice):
    """What a tier asks of a year with a customer (分级要求; domain rule "Tier requirements")."""

    REVIEW = "REVIEW", "客户回顾", "Customer review"
    KEY_PERSON_PLAN = "KEY_PERSON_PLAN", "关键人计划", "Key-person plan"
    ORGANIZATIONAL_PLAN = "ORGANIZATIONAL_PLAN", "组织客户关系计划", "Organizational plan"
    EXECUTIVE_SPONSOR = "EXECUTIVE_SPONSOR", "高层责任人", "Executive sponsor"
    GROUP_STRATEGY = "GROUP_STRATEGY", "集团战略布局", "Group strategy layout"
    PROFILE_REFRESH = "PROFILE_REFRESH", "客户档案更新", "Refresh of the customer profile"
    PROFILE_CHECK = "PROFILE_CHECK", "客户档案检查", "Check of the customer profile"
    COMPANY_VISIT = "COMPANY_VISIT", "参观公司", "Company visit"
    SHOWCASE_VISIT = "SHOWCASE_VISIT", "参观样板点", "Showcase visit"
    ONSITE_MEETING = "ONSITE_MEETING", "现场会", "On-site meeting"
    TECHNICAL_EXCHANGE = "TECHNICAL_EXCHANGE", "技术交流", "Technical exchange"
    MANAGEMENT_STUDY = "MANAGEMENT_STUDY", "管理和经营研究", "Management and operations study"
    CONTACT = "CONTACT", "客户接触", "Contact"


class ObligationState(Choice):
    """What has become of an obligation."""

    OPEN = "OPEN", "待完成", "Open"
    FULFILLED = "FULFILLED", "已完成", "Fulfilled"
    LAPSED = "LAPSED", "已失效", "Lapsed"


class Care(Choice):
    """Whether a person is contacted as often as is good (客户关怀; domain rules F18, 004-11)."""

    UNDERCARE = "UNDERCARE", "关怀不足", "Too seldom"
    IN_BAND = "IN_BAND", "适度", "As it should be"
    OVERCARE = "OVERCARE", "关怀过度", "Too often"
