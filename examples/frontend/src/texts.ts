// The page's own words. Labels of enums come from the server, in the same language.
const en = {
  title: "Relationship board",
  about: "Customers by tier, as they are now.",
  token: "Token",
  tokenHelp: "An administrator makes one with “guanxi token create”. It stays in this tab.",
  open: "Open",
  wrong: "This token is not valid, or not any more.",
  leave: "Sign out",
  search: "Search",
  searchHelp: "Name, pinyin or initials",
  live: "Live",
  waiting: "Connecting …",
  none: "Not classified",
  empty: "No customers",
  more: "Load more",
  loading: "Loading …",
  retry: "Try again",
  unreachable: "The server cannot be reached.",
  score: "Score",
  steward: "Steward",
  purchases: "Purchases",
};

const zh: typeof en = {
  title: "客户关系看板",
  about: "按级别查看客户，实时更新。",
  token: "令牌",
  tokenHelp: "由管理员用“guanxi token create”生成，只保存在本标签页。",
  open: "打开",
  wrong: "令牌无效或已失效。",
  leave: "退出",
  search: "搜索",
  searchHelp: "名称、拼音或首字母",
  live: "实时",
  waiting: "正在连接……",
  none: "未分级",
  empty: "没有客户",
  more: "加载更多",
  loading: "正在加载……",
  retry: "重试",
  unreachable: "无法连接服务器。",
  score: "得分",
  steward: "客户经理",
  purchases: "采购额",
};

/** The first of the browser's languages that there are texts in; English otherwise. */
export const language = navigator.languages.find((one) => /^(zh|en)\b/i.test(one)) ?? "en";
export const texts = language.toLowerCase().startsWith("zh") ? zh : en;
