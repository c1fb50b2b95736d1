"""Closed lists of the relationships plugin, each value with its Chinese and English label."""

from guanxi_sdk import Choice


class ChainKind(Choice):
    """Which of a customer's decisions a chain is about (决策链; domain rule B4)."""

    OVERALL = "OVERALL", "总体", "Overall"
    TECHNICAL = "TECHNICAL", "技术", "Technical"
    COMMERCIAL = "COMMERCIAL", "商务", "Commercial"


class ClaimState(Choice):
    """How far the claim that somebody has a level has come (domain rule C4, invariant 4)."""

    PENDING = "PENDING", "待评审", "Pending"
    RECORDED = "RECORDED", "已记录", "Recorded"
    APPROVED = "APPROVED", "已通过", "Approved"
    REJECTED = "REJECTED", "已驳回", "Rejected"


class CooperationKind(Choice):
    """What binds two organizations together beside orders (组织客户关系; domain rule F6)."""

    AGREEMENT = "AGREEMENT", "合作协议", "Cooperation agreement"
    JOINT_PLANNING = "JOINT_PLANNING", "联合规划", "Joint planning"
    JOINT_INNOVATION = "JOINT_INNOVATION", "联合创新", "Joint innovation"


class RelationshipGrade(Choice):
    """How good a general or an organizational relationship is (domain rules F5, F6)."""

    A = "A", "优", "Excellent"
    B = "B", "良", "Good"
    C = "C", "中", "Fair"
    D = "D", "差", "Poor"


class RelationshipLack(Choice):
    """Why a relationship has no score (domain rule F7)."""

    NO_CHAIN = "NO_CHAIN", "无决策链", "No decision chain"
    NO_DEPARTMENT = "NO_DEPARTMENT", "无覆盖部门", "No department in scope"
    NO_TIER = "NO_TIER", "未分级", "No tier"


class PlanState(Choice):
    """How far a year's plan for a customer has come (domain rule C2)."""

    DRAFT = "DRAFT", "草稿", "Draft"
    SUBMITTED = "SUBMITTED", "已提交", "Submitted"
    APPROVED = "APPROVED", "已批准", "Approved"
    RUNNING = "RUNNING", "执行中", "Running"
    CLAIMED = "CLAIMED", "已申报完成", "Claimed"
    CONFIRMED = "CONFIRMED", "已确认", "Confirmed"
    CLOSED = "CLOSED", "已关闭", "Closed"


class HandoverState(Choice):
    """How far a customer's way from one steward to the next has come (交接; domain rule C2)."""

    PROPOSED = "PROPOSED", "已提出", "Proposed"
    APPROVED = "APPROVED", "已批准", "Approved"
    OVERLAP = "OVERLAP", "交接期", "Overlap"
    COMPLETED = "COMPLETED", "已完成", "Completed"
    WITHDRAWN = "WITHDRAWN", "已撤回", "Withdrawn"


class HandoverLack(Choice):
    """What a handover still lacks (domain rules C2, F13)."""

    OVERLAP_TOO_SHORT = "OVERLAP_TOO_SHORT", "交接期不足", "Overlap too short"
    PROFILE_INCOMPLETE = "PROFILE_INCOMPLETE", "客户档案不完整", "Profile incomplete"
    JOINT_VISITS_MISSING = "JOINT_VISITS_MISSING", "缺少联合拜访", "Joint visits missing"


class PlanTaskKind(Choice):
    """What the review of a year's plan finds to be done (domain rule C5)."""

    SAFETY_UNKNOWN = "SAFETY_UNKNOWN", "安全需求未知", "Need for safety unknown"


class RotationState(Choice):
    """What became of the proposal that somebody moves to another office (轮岗; rule 000-07)."""

    PROPOSED = "PROPOSED", "已建议", "Proposed"
    ACCEPTED = "ACCEPTED", "已接受", "Accepted"
    DECLINED = "DECLINED", "已谢绝", "Declined"


class FindingCode(Choice):
    """What endangers customers as an asset of the company (公司资产; rules 003-01, 003-02)."""

    ISOLATED = "ISOLATED", "上级未接触", "Isolated from the supervisor"
    SINGLE_THREADED = "SINGLE_THREADED", "单线联系", "Held by too few"
    LEVEL_MISMATCH = "LEVEL_MISMATCH", "上级犁下级的田", "Each level does the work below"
    BOSS_DEPENDENCE = "BOSS_DEPENDENCE", "依赖老板签单", "Revenue depends on the boss"
    RUNS_NOT_INFLUENCES = "RUNS_NOT_INFLUENCES", "只跑动不影响", "Runs, does not influence"


class Severity(Choice):
    """How bad a finding is."""

    WARNING = "WARNING", "警告", "Warning"
    CRITICAL = "CRITICAL", "严重", "Critical"


class MapNodeKind(Choice):
    """Whose side a node of the relationship map is on."""

    PERSON = "PERSON", "客户人员", "Person of the customer"
    EMPLOYEE = "EMPLOYEE", "我方员工", "Our employee"


class MapEdgeKind(Choice):
    """What an edge of the relationship map stands for."""

    INFLUENCES = "INFLUENCES", "影响", "Influences"
    MEETS = "MEETS", "接触", "Meets"


class MapGap(Choice):
    """What is wrong about a person of the relationship map."""

    UNASSESSED = "UNASSESSED", "未评估", "Not assessed"
    AGAINST = "AGAINST", "不认可", "Does not recognise us"
    DECAYED = "DECAYED", "久未接触", "Level decayed"
    NOT_MET = "NOT_MET", "无人接触", "Nobody meets them"
    NOT_AT_LEVEL = "NOT_AT_LEVEL", "级别不对等", "Nobody of their level meets them"


class EngagementReason(Choice):
    """Why somebody should be met."""

    BELOW_TARGET = "BELOW_TARGET", "低于规划目标", "Below the plan's target"
    DECAY = "DECAY", "关系即将衰减", "Level about to decay"
    DUE = "DUE", "到期应接触", "Contact due"
    UNASSESSED = "UNASSESSED", "未评估", "Not assessed"
    NOT_AT_LEVEL = "NOT_AT_LEVEL", "级别不对等", "Not met at their level"
    UNCOVERED = "UNCOVERED", "部门未覆盖", "Department not covered"
