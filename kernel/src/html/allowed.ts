/** What an exported page shows of a stranger's HTML: texts, tables, pictures, SVG, MathML. Nothing that acts. */

const words = (text: string): ReadonlySet<string> => new Set(text.trim().split(/\s+/));

const htmlElements = words(`
  a abbr address article aside audio b bdi bdo big blockquote br caption center cite code col colgroup data dd del
  details dfn div dl dt em figcaption figure font footer h1 h2 h3 h4 h5 h6 header hr i img input ins kbd label li main
  mark meter nav ol p picture pre progress q rp rt ruby s samp section small source span strike strong sub summary sup
  table tbody td tfoot th thead time tr tt u ul var video wbr`);

const svgElements = words(`
  circle clipPath defs desc ellipse feBlend feColorMatrix feComposite feDropShadow feFlood feGaussianBlur feMerge
  feMergeNode feOffset filter foreignObject g image line linearGradient marker mask metadata path pattern polygon polyline
  radialGradient rect stop svg switch symbol text textPath title tspan use view`);

const mathElements = words(`
  annotation math menclose merror mfenced mfrac mi mmultiscripts mn mo mover mpadded mphantom mprescripts mroot mrow ms
  mspace msqrt mstyle msub msubsup msup mtable mtd mtext mtr munder munderover none semantics`);

/** Attributes that any element may have. */
const commonAttributes = words('class dir height id lang role style title width');

const htmlAttributes = words(`
  align alt bgcolor border cellpadding cellspacing checked cite color colspan controls datetime disabled face headers
  href loop low high max min muted nowrap open optimum poster reversed rowspan scope size span src start summary
  type valign value`);

const svgAttributes = words(`
  alignment-baseline baseline-shift clip-path clip-rule clipPathUnits color cx cy d dominant-baseline dx dy fill
  fill-opacity fill-rule filter flood-color flood-opacity font-family font-size font-stretch font-style font-variant
  font-weight fr fx fy gradientTransform gradientUnits href in in2 k1 k2 k3 k4 lengthAdjust letter-spacing marker-end
  marker-mid marker-start markerHeight markerUnits markerWidth mask maskContentUnits maskUnits mode offset opacity
  operator orient overflow paint-order pathLength pathlength patternContentUnits patternTransform patternUnits points
  preserveAspectRatio primitiveUnits r refX refY result rotate rx ry shape-rendering spreadMethod startOffset
  stdDeviation stop-color stop-opacity stroke stroke-dasharray stroke-dashoffset stroke-linecap stroke-linejoin
  stroke-miterlimit stroke-opacity stroke-width text-anchor text-decoration text-rendering textLength transform
  transform-origin type values vector-effect version viewBox visibility word-spacing writing-mode x x1 x2 xlink:href
  xml:space xmlns xmlns:xlink y y1 y2`);

const mathAttributes = words(`
  accent accentunder columnalign columnlines columnspacing columnspan depth display displaystyle encoding fence frame
  largeop linethickness lspace mathbackground mathcolor mathsize mathvariant maxsize minsize movablelimits notation
  rowalign rowlines rowspacing rowspan rspace scriptlevel separator side stretchy symmetric voffset xmlns`);

const rawTextElements = words('iframe noembed noframes noscript plaintext script style textarea title xmp');
const voidElements = words('br col hr img input source wbr');
const optionallyClosed = words('colgroup dd dt li p tbody td tfoot th thead tr');

export const isAllowedElement = (name: string): boolean => htmlElements.has(name) || isForeign(name);
/** Of SVG or MathML, where a tag may close itself. */
export const isForeign = (name: string): boolean => svgElements.has(name) || mathElements.has(name);
/** Browsers read no tags inside these. */
export const isRawText = (name: string): boolean => rawTextElements.has(name);
export const isVoid = (name: string): boolean => voidElements.has(name);
/** Elements whose end tag may be left out, as what follows ends them. */
export const isOptionallyClosed = (name: string): boolean => optionallyClosed.has(name);

export function isAllowedAttribute(attribute: string, element: string): boolean {
  if (commonAttributes.has(attribute) || /^aria-[a-z]+$/.test(attribute)) return true;
  return (
    (htmlElements.has(element) && htmlAttributes.has(attribute)) ||
    (svgElements.has(element) && svgAttributes.has(attribute)) ||
    (mathElements.has(element) && mathAttributes.has(attribute))
  );
}
