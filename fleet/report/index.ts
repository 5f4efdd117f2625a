export { type Group, groups } from "./changes";
export { comment, type CommentOptions, marker, sizeLimit } from "./comment";
