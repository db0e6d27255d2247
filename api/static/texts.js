/** All words of the page, and how numbers are written. A translation has its own `language` and `texts`. */

export const language = "en";
export const direction = "ltr"; // or "rtl"

export const texts = {
  page: {
    title: "Photograph or generated?",
    lead:
      "A small neural network says which of the two a picture is, and how far to trust it. It has learned from " +
      "pictures of 32×32 pixels: of larger ones its answer is a guess.",
    tabs: "Parts of the page",
    check: "Check pictures",
    programs: "For programs",
    model: "The model",
    noProof: "An answer is no proof. Do not accuse anybody on its word alone.",
    docs: "Documentation of the service",
    failed: "This part of the page could not be loaded. {detail}",
  },
  drop: {
    title: "Drop pictures here",
    titleTouch: "Which picture?",
    how: "or paste one, or choose some. Folders and archives (.zip, .tar) work too.",
    howTouch: "Take a photograph, or choose one or more. Archives (.zip, .tar) work too.",
    files: "Choose pictures",
    camera: "Take a photograph",
    folder: "Choose a folder",
    privacy:
      "Single pictures are looked at and not kept. Batches are kept until you delete them, or for some days.",
    over: "Let go to check them",
    noFile: "That was no file. Save the picture first, or copy it and paste it here.",
    nothing: "There is no picture in there.",
    notPictures: {
      one: "{count} file is no picture and was left out.",
      other: "{count} files are no pictures and were left out.",
    },
    tooMany: "There are more than {count} files. The rest was left out; pack them in archives.",
    oneBatch: "Batches go one at a time, and {name} is the first. Drop the others again when it is done.",
  },
  examples: {
    title: "Or try one of these",
    sources:
      "Which of them are photographs is told after the answer. The small ones are of the test pictures of CIFAKE, " +
      "which the network has not learned from: {cifake}, MIT licence; its photographs are those of CIFAR-10, " +
      "{cifar}. The sailing boat is drawn by a program.",
    button: "Example {number}: {name}",
    cat: "a cat",
    aeroplane: "an aeroplane",
    car: "a car",
    dog: "a dog",
    bird: "a bird",
    boat: "a sailing boat",
    cifake: "Bird & Lotfi 2024",
    cifar: "Krizhevsky & Hinton 2009",
    truth: {
      REAL: "The truth: this one is a photograph, of CIFAR-10.",
      FAKE: "The truth: this one was made by Stable Diffusion 1.4.",
      drawn: "The truth: neither. A few lines of code drew it, and the network has never seen a drawing.",
    },
    right: "The network is right.",
    wrong: "The network is wrong.",
    failed: "The example could not be loaded.",
  },
  answers: {
    title: "Answers",
    removeAll: "Remove all",
    removed: "All answers are removed.",
    REAL: { one: "{count} photograph", other: "{count} photographs" },
    FAKE: { one: "{count} generated picture", other: "{count} generated pictures" },
    unknown: { one: "{count} of a kind it does not know", other: "{count} of kinds it does not know" },
    failed: { one: "{count} without an answer", other: "{count} without an answer" },
    waiting: { one: "{count} on its way", other: "{count} on their way" },
    spoken: "{name}: {verdict}",
    spokenAll: "{count} pictures are answered: {summary}.",
    separator: ", ",
  },
  labels: { REAL: "Photograph", FAKE: "Generated" },
  card: {
    size: "{width} × {height} pixels",
    picture: "The picture",
    view: "What the network saw",
    viewAlt: "The same picture at {size} × {size} pixels",
    viewOnly: "What the network saw. This browser cannot show the picture itself.",
    pasted: "Pasted picture",
    queued: "Waiting for its turn",
    asking: "Asking the network",
    remove: "Remove {name}",
    removed: "{name} is removed.",
    retry: "Try again",
    detail: "The service says: {detail}",
  },
  verdict: {
    answer: "{label}: {percent}, {words}",
    percent: "{percent} sure",
    over: "over {percent}",
    almostCertain: "almost certain",
    likely: "likely",
    probably: "more likely than not",
    guess: "a guess",
    meaning:
      "Of {count} answers as sure as this one about {right} are right, for pictures like those it has learned from.",
    spoken: "{reason}. Its answer all the same: {label}, {percent}",
    undecided: "undecided",
    quiet: "Its answer all the same: {label} ({code}), {percent}. Take it for a guess.",
    noDetector:
      "This model cannot tell whether it knows pictures like this one, nor how often such an answer is right.",
    size: {
      title: "The network does not know pictures of this size",
      text:
        "It knows pictures of {size}×{size} pixels. This one has {width}×{height} and was reduced, which takes away " +
        "most of what a generator leaves behind. Nearly all large pictures are called photographs, whatever made them.",
      spoken: "not of a size the network knows",
    },
    content: {
      title: "The network does not know pictures like this one",
      text:
        "It has the right size, but looks unlike all that the network has learned from: pictures of aeroplanes, cars, " +
        "birds, cats, deer, dogs, frogs, horses, ships and trucks. The label is a guess.",
      spoken: "unlike the pictures the network knows",
    },
  },
  provenance: {
    title: "What the file says of itself",
    nothing:
      "Nothing of a camera or a generator. That means nothing: most pictures on the web have lost such data.",
    evidence: "Evidence, not proof: anybody can remove, copy or forge it.",
    generator: "Made with",
    source: "Kind of source",
    camera: "Camera",
    credentials: "Content Credentials",
    found: "Found in",
    incomplete: "Its data was not read to the end, because it is damaged or very long.",
    valid: "unchanged since {signer} signed it",
    validUnnamed: "unchanged since it was signed",
    invalid: "not valid: {reason}",
    unread: "present, not checked: {reason}",
    program: "written by {program}",
    unknownSigner: "Who signed is not checked: anybody can make a certificate of any name.",
    seconds: "{time} s",
    aperture: "f/{number}",
    iso: "ISO {number}",
    focal: "{number} mm",
    sources: {
      trainedAlgorithmicMedia: "made by a generative model",
      compositeWithTrainedAlgorithmicMedia: "changed with a generative model",
      algorithmicMedia: "computed, without a model that was trained",
      compositeSynthetic: "put together, with generated parts",
      composite: "put together of several pictures",
      compositeCapture: "put together of several photographs",
      digitalCapture: "taken by a digital camera",
      computationalCapture: "taken by a camera that computes pictures of several shots",
      negativeFilm: "scanned from negative film",
      positiveFilm: "scanned from positive film",
      print: "scanned from a print",
      humanEdits: "changed by a person",
      minorHumanEdits: "slightly changed by a person",
      algorithmicallyEnhanced: "enhanced by a program",
      digitalCreation: "drawn by a person with a program",
      digitalArt: "drawn by a person with a program",
      softwareImage: "drawn by a program",
      dataDrivenMedia: "drawn from data",
      screenCapture: "a screenshot",
      virtualRecording: "recorded from a virtual world",
    },
  },
  heat: {
    show: "Show what spoke for this answer",
    hide: "Hide the heat map",
    asking: "Drawing the heat map",
    strength: "Strength of the heat map",
    low: "says little",
    high: "says most",
    legend: "What spoke for “{label}”",
    meaning:
      "By Grad-CAM, from the network's 32×32 pixels. In a test, blurring where it is brightest moved the answer " +
      "over three times as far as blurring at random. It shows where the network looked, not why.",
    flat: "No part of this picture spoke for its answer more than another.",
    done: "The heat map is shown.",
  },
  wait: {
    busy: {
      one: "The service is busy. It goes on by itself in {count} second.",
      other: "The service is busy. It goes on by itself in {count} seconds.",
    },
    limited: {
      one: "You have asked very often. It goes on by itself in {count} second.",
      other: "You have asked very often. It goes on by itself in {count} seconds.",
    },
    gone: "The service does not answer. It goes on by itself when it is back.",
  },
  problems: {
    "too-large": ["It is too large", "Send a smaller file, or fewer."],
    "unsupported-format": [
      "This is no picture that can be read",
      "PNG, JPEG, WebP, GIF, BMP, TIFF and AVIF can. Save it as one of these.",
    ],
    "broken-file": ["The file is damaged or cut short", "Save or copy it once more from where it came."],
    empty: ["The file is empty", "Save or copy it once more from where it came."],
    "bad-request": [
      "The service did not understand the request",
      "Reload the page; it may be older than the service.",
    ],
    unauthorized: ["The service wants a key", "Ask its operator for one, and try again."],
    forbidden: ["This key may not do that", "Ask the service's operator."],
    "not-found": ["It is not there any more", "Send the pictures again."],
    "not-done": ["There is no result yet", "Wait until the batch is done."],
    busy: ["The service is too busy", "Try again in a few minutes."],
    "rate-limited": ["You have asked too often", "Try again in a few minutes."],
    "not-ready": ["The service is not ready", "Try again in a minute."],
    "jobs-unavailable": [
      "Batches cannot be taken just now",
      "Try again in a minute, or tell the service's operator.",
    ],
    "idempotency-key-reused": ["This upload was mixed up with another", "Send it again."],
    stalled: ["The upload stopped half way", "Check your connection, and try again."],
    late: ["The answer took too long", "Try again; the service may be busy."],
    "insufficient-storage": [
      "The service's disk is full",
      "Tell its operator; single pictures may still work.",
    ],
    "internal-error": [
      "The service failed",
      "Try again. If it fails again, tell its operator the number below.",
    ],
    "connection-lost": ["The connection was lost", "Check your network, and try again."],
    unreadable: [
      "The file cannot be read any more",
      "It was changed, moved or removed. Choose it once more.",
    ],
    other: ["Something went wrong", "Try again."],
    request: "Number of the request: {id}",
  },
  key: {
    title: "This service wants a key",
    text: "Its operator has given you one. It is kept in this tab only, until you close it.",
    refused: "That key was not accepted. Is it complete?",
    label: "Key",
    send: "Use this key",
    cancel: "Cancel",
  },
  copy: {
    button: "Copy",
    named: "Copy {name}",
    done: "Copied",
    spoken: "{name} is copied.",
    failed: "It could not be copied. Select it, and press Ctrl+C.",
  },
  programs: {
    title: "The same by a program",
    none: "This is how a program has one picture checked. Check one yourself, and its call stands here.",
    picture: "This is the call that you have just made, for {name}.",
    batch: "This is the batch that you have just sent.",
    curl: "curl",
    python: "Python",
    javascript: "JavaScript",
    requests: "Needs requests: pip install requests",
    browser: "In a page of another origin, which the service's setting CIFAKE_CORS_ORIGINS has to allow",
    answer: "What the service answered",
    shortened: "Pictures in data URLs are cut short here.",
    zip: "many files go as one archive",
    until: "again, until its state is done",
    input: 'of <input type="file">',
    key: "curl and Python read the key from the environment variable CIFAKE_KEY; in JavaScript it is `key`.",
    more: "All calls, options and errors: ",
    docs: "documentation",
    openapi: "OpenAPI description",
  },
  model: {
    title: "The model that answers",
    loading: "Asking the service",
    digest: "Digest",
    recipe: "Recipe",
    runs: "Runs with",
    engine: "{framework}, {precision}, on {device}",
    input: "Sees",
    inputValue: "{size} × {size} pixels in colour",
    learned: "Learned from",
    learnedValue: "{count} pictures, {kind}",
    unknown: "not stated",
    calibrated: "Calibrated",
    yes: "yes, so that of 100 answers that are 90% sure about 90 are right",
    no: "no: do not take its percentages at their word",
    measures: "How well it measures",
    testText:
      "On {count} test pictures of the same kind, which it has neither learned from nor been adjusted to, by {engine}.",
    validationText:
      "On {count} pictures of the same kind that were kept from its training. They also chose when to stop and set " +
      "its confidence, so that these figures are a little flattering.",
    intervals: "The intervals hold the true value in 95 of 100 such measurements.",
    noMeasures: "The file of this model does not say how well it measures.",
    measure: "Measure",
    value: "Value",
    interval: "95% interval",
    accuracy: "Accuracy",
    accuracyWords: "of all answers are right",
    precision: "Precision of REAL",
    precisionWords: "of the pictures called photographs are photographs",
    recall: "Recall of REAL",
    recallWords: "of the photographs are called so",
    f1: "F1 of REAL",
    f1Words: "harmonic mean of the two above",
    auroc: "AUROC",
    aurocWords: "how often a photograph is ranked above a generated picture",
    ece: "Calibration error (ECE)",
    eceWords: "mean distance of what it says from how often it is right",
    confusion: "What it answered",
    truth: "In truth",
    answeredAs: "Answered {label}",
    speed:
      "{precision} answers {points} percentage points fewer right than float32 (95% interval {low} to {high}).",
    reliability: "Is it as sure as it is right?",
    reliabilityText:
      "Each dot stands for as many answers of about the same confidence, and its line for the 95% interval. On the " +
      "dashed curve, it is right as often as it says; below it is too sure of itself, above too modest. The axis is " +
      "stretched to the right, since most answers are quite sure.",
    noReliability:
      "The file of this model has no diagram of that, only its mean: the calibration error in the table above.",
    confidence: "What it says: confidence",
    rightShare: "How often it is right",
    pictures: "Pictures",
    asTable: "The diagram as a table",
    diagramAlt:
      "Diagram of how often answers are right by how sure they are, in {count} groups; the table below has the same numbers",
    limits: "What it has never seen",
    limitSize:
      "Pictures of another size. They are reduced to {size}×{size} pixels, and hardly anything of a generator is left. " +
      "With the model that comes with this service, 92% of 230 larger photographs were called photographs, and so were " +
      "85% of 87 larger generated pictures.",
    limitGenerators:
      "Other generators. It knows Stable Diffusion 1.4 only; nothing is known of its answers on others.",
    limitClasses:
      "Other things. It knows ten: aeroplanes, cars, birds, cats, deer, dogs, frogs, horses, ships and trucks. Drawings, " +
      "charts and text are mostly noticed as unknown, but not always.",
    limitChanges:
      "Pictures that were changed: blurred, brightened, cropped by a pixel, or without colour. They are answered " +
      "worse, by one to three in a hundred, and mostly without a warning.",
    limitOwn:
      "These words are about the model that comes with this service. Whether they hold for another, its maker has to say.",
  },
  jobs: {
    close: "Close this batch",
    created: "sent {time}",
    retry: "Try again",
    change: "Change name or options",
    refused: "What is wrong with it is said below. Choose other files or options.",
    form: {
      pictures: { one: "{count} picture", other: "{count} pictures" },
      team: "Team name",
      hint:
        "Letters, digits, spaces, dots, dashes and underscores. The result is NAME_prediction.json; in the service's " +
        "output folder it takes the place of an earlier one of this name.",
      folders: "Name pictures by their path, for archives that have the same file name in several folders",
      start: "Send and check",
      noName: "Give a name.",
      longName: "A name has {most} characters at most; this one has {count}.",
      otherCharacter:
        "“{character}” cannot be part of a name: only A to Z, digits, spaces, dots, dashes and underscores can.",
      firstCharacter: "A name begins with a letter or a digit.",
    },
    progress: {
      uploading: "Sending “{name}”",
      title: "Checking “{name}”",
      asking: "Asking how far it is",
      preparing: "Preparing the upload",
      bytes: "{sent} of {all} sent",
      stored: "All is sent. The service is storing it.",
      queued: "Waiting for its turn",
      counting: "Counting the files",
      files: { one: "{done} of {count} file", other: "{done} of {count} files" },
      unreadable: { one: "{count} unreadable so far", other: "{count} unreadable so far" },
      left: "about {duration} left",
      reason: "It waits: {title}.",
      cancel: "Cancel",
    },
    ended: {
      done: "Done",
      failed: "Failed",
      cancelled: "Cancelled",
      doneTitle: "Result of “{name}”",
      failedTitle: "“{name}” has failed",
      cancelledTitle: "“{name}” is cancelled",
      uploadCancelled: "The upload was stopped. You can start it again.",
      cancelledHere: "The service has deleted what was sent. You can start it again.",
      cancelledElsewhere:
        "The service has deleted what was sent. To start it again, choose the pictures once more.",
      spoken: "Done: {fake} generated, {real} photographs. The result is below.",
    },
    gone: {
      heading: "No such batch",
      title: "There is no batch at this address",
      advice:
        "Results are deleted some days after their end, or when somebody deletes them. Check the address, or send the " +
        "pictures again.",
    },
    result: {
      summary:
        "{fake} generated, {real} photographs, {unreadable} unreadable, in {duration}. By the model {model}.",
      outside: {
        one: "{count} picture is not of the kind the network knows ({kinds}). Its label is a guess.",
        other: "{count} pictures are not of the kind the network knows ({kinds}). Their labels are guesses.",
      },
      size: "{count} of another size",
      content: "{count} of another content",
      delete: "Delete this result from the service",
      sure: "Delete this result from the service? Files in its output folder stay.",
      deleted: "The result is deleted.",
    },
    histogram: {
      title: "Scores",
      alt:
        "Histogram of P(REAL), the probability of a photograph: {low} pictures below 0.1, {middle} from 0.1 to 0.9, {high} " +
        "above 0.9",
      threshold: "Threshold of P(REAL), from which a picture counts as a photograph",
      value: "Threshold {threshold}: {fake} FAKE, {real} REAL",
      own: "This is the service's own.",
      moved: "The service's own is {own}: another one changes only what you see here, not the files below.",
      reset: "Back to {threshold}",
      fakeEnd: "0 generated",
      axis: "P(REAL)",
      realEnd: "photograph 1",
      scale:
        "A bar of double height stands for four times as many pictures, so that few can be seen beside many.",
    },
    filter: {
      legend: "Show",
      all: "All",
      fake: "FAKE",
      real: "REAL",
      uncertain: "Below 90% sure",
      outside: "Out of domain",
      unreadable: "Unreadable",
    },
    label: { REAL: "REAL", FAKE: "FAKE", unreadable: "unreadable" },
    outside: { no: "known", size: "other size", content: "other content" },
    table: {
      title: "Pictures",
      label: "Pictures of this batch. The arrow keys move.",
      search: "Search names",
      shown: "Showing {count} of {all}",
      empty: "No picture is like that.",
      columns: { name: "Name", label: "Label", confidence: "Confidence", real: "P(REAL)", outside: "Domain" },
    },
    downloads: {
      title: "Files",
      positive: "“prediction” is the probability of",
      REAL: "REAL: a photograph",
      FAKE: "FAKE: a generated picture",
      note: "As the service gives them, whatever threshold and filter are chosen above. JSON and CSV have the same rows.",
    },
  },
};

const plurals = new Intl.PluralRules(language);
const numbers = new Intl.NumberFormat(language);

/**
 * The text of a key such as `card.remove`, with `{name}` replaced by `values.name`.
 *
 * Numbers among the values are written as the language does. An entry that is an object of plural forms, such
 * as `{ one: …, other: … }`, is chosen by `values.count`. Throws an Error for an unknown key or placeholder.
 */
export function text(key, values = {}) {
  let entry = key.split(".").reduce((section, name) => section?.[name], texts);
  if (typeof entry === "object" && entry?.other) entry = entry[plurals.select(values.count)] ?? entry.other;
  if (typeof entry !== "string") throw new Error(`texts.js has no text ${key}`);
  return entry.replace(/\{(\w+)\}/g, (_, name) => {
    if (!(name in values)) throw new Error(`the text ${key} needs a value for ${name}`);
    const value = values[name];
    return typeof value === "number" ? numbers.format(value) : String(value);
  });
}

/** Whether there is a text of this key. */
export function hasText(key) {
  const entry = key.split(".").reduce((section, name) => section?.[name], texts);
  return typeof entry === "string" || typeof entry?.other === "string";
}

/** A number with at most `digits` digits after the point. */
export function formatNumber(value, digits = 0) {
  return new Intl.NumberFormat(language, { maximumFractionDigits: digits }).format(value);
}

const fixed = new Map(); // formats by style and digits, since it takes long to make one

function formatFixed(value, style, digits) {
  const key = style + digits;
  if (!fixed.has(key)) {
    fixed.set(key, numberFormat({ style, minimumFractionDigits: digits, maximumFractionDigits: digits }));
  }
  return fixed.get(key).format(value);
}

/** A share from 0 to 1 in percent, with exactly `digits` digits after the point. */
export function formatPercent(share, digits = 0) {
  return formatFixed(share, "percent", digits);
}

/** A probability from 0 to 1, with exactly `digits` digits after the point. */
export function formatProbability(value, digits = 4) {
  return formatFixed(value, "decimal", digits);
}

/** An Intl.NumberFormat of the language. */
export function numberFormat(options) {
  return new Intl.NumberFormat(language, options);
}

/** A number of bytes, such as `3.4 MB`. */
export function formatBytes(bytes) {
  const units = ["byte", "kilobyte", "megabyte", "gigabyte"];
  const power = Math.min(units.length - 1, Math.floor(Math.log10(Math.max(1, bytes)) / 3));
  const style = { style: "unit", unit: units[power], unitDisplay: "short", maximumFractionDigits: 1 };
  return new Intl.NumberFormat(language, style).format(bytes / 1000 ** power);
}

/** A duration, such as `12 sec` or `3 min 20 sec`, from seconds. */
export function formatDuration(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  const parts = [
    [Math.floor(whole / 3600), "hour"],
    [Math.floor(whole / 60) % 60, "minute"],
    [whole % 60, "second"],
  ];
  const written = parts
    .filter(([count, unit]) => count || (unit === "second" && whole === 0))
    .slice(0, 2)
    .map(([count, unit]) => new Intl.NumberFormat(language, { style: "unit", unit }).format(count));
  return new Intl.ListFormat(language, { type: "unit", style: "narrow" }).format(written);
}

/** A point in time, such as `29 Nov 2026, 14:05`; `when` is a Date or an RFC 3339 text. */
export function formatTime(when) {
  const style = { dateStyle: "medium", timeStyle: "short" };
  return new Intl.DateTimeFormat(language, style).format(new Date(when));
}
