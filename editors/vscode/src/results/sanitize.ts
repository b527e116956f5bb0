// HTML that code has made, with nothing left in it that runs, loads or reaches out of its place.

import sanitizeHtml from "sanitize-html";

const COLOUR = [
  /^#[0-9a-f]{3,8}$/i,
  /^rgba?\([\d\s.,%/]+\)$/i,
  /^hsla?\([\d\s.,%/deg]+\)$/i,
  /^[a-z]+$/i,
];
const SIZE = [/^-?[\d.]+(px|em|rem|ex|ch|pt|%)?$/];
const SIZES = [/^(-?[\d.]+(px|em|rem|ex|ch|pt|%)?\s*){1,4}$/];
const WORD = [/^[a-z-]+$/];
const BORDER = [/^[\w\s#.,()%-]+$/];

const OPTIONS: sanitizeHtml.IOptions = {
  allowedTags: [
    ...sanitizeHtml.defaults.allowedTags,
    ...["img", "details", "summary", "del", "ins", "progress", "meter", "center", "font"],
  ],
  // Their text is no text of the output.
  nonTextTags: ["script", "style", "textarea", "option", "noscript", "title", "template"],
  allowedAttributes: {
    "*": ["style", "class", "title", "align", "valign", "dir", "lang"],
    a: ["href"],
    img: ["src", "alt", "width", "height"],
    td: ["colspan", "rowspan"],
    th: ["colspan", "rowspan", "scope"],
    table: ["border"],
    col: ["span"],
    colgroup: ["span"],
    details: ["open"],
    progress: ["value", "max"],
    meter: ["value", "min", "max"],
    font: ["color"],
  },
  allowedSchemes: ["https", "http", "mailto"],
  allowedSchemesByTag: { img: ["data"] },
  allowProtocolRelative: false,
  allowedStyles: {
    "*": {
      color: COLOUR,
      "background-color": COLOUR,
      background: COLOUR,
      "text-align": WORD,
      "vertical-align": WORD,
      "font-weight": [/^[\w-]+$/],
      "font-style": WORD,
      "font-size": SIZE,
      "text-decoration": [/^[a-z\s-]+$/],
      "white-space": WORD,
      width: SIZE,
      "max-width": SIZE,
      "min-width": SIZE,
      height: SIZE,
      padding: SIZES,
      margin: SIZES,
      border: BORDER,
      "border-top": BORDER,
      "border-bottom": BORDER,
      "border-left": BORDER,
      "border-right": BORDER,
      "border-radius": SIZES,
      opacity: [/^[\d.]+%?$/],
    },
  },
  // Pictures from elsewhere would tell whoever has them that they were looked at.
  exclusiveFilter: (frame) => frame.tag === "img" && !frame.attribs.src?.startsWith("data:image/"),
};

/** The harmless part of some HTML. */
export function sanitized(html: string): string {
  return sanitizeHtml(html, OPTIONS);
}

/** Whether there is something to see in sanitized HTML. */
export function isVisible(html: string): boolean {
  return /<(img|progress|meter|hr)\b/.test(html) || html.replace(/<[^>]*>|&nbsp;|\s/g, "") !== "";
}
