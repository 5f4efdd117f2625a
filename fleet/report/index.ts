export { changeAt, type EditCache, groupSites, type SiteChange, type SiteGroup } from "./changes";
export { commentLimit, commentMarker, type CommentOptions, formatComment } from "./comment";
