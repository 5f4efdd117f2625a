export { groupSites, type SiteGroup } from "./changes";
export { commentLimit, commentMarker, type CommentOptions, formatComment } from "./comment";
