"""How slides are laid out. Lengths are in inches."""

from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import pairwise

from pptx import Presentation
from pptx.enum.shapes import MSO_SHAPE
from pptx.enum.text import MSO_ANCHOR, PP_ALIGN
from pptx.oxml.ns import qn
from pptx.presentation import Presentation as Deck
from pptx.shapes.autoshape import Shape
from pptx.slide import Slide
from pptx.util import Inches

from training.evaluation.palette import FAKE, GREY, INK, PAPER, REAL
from training.submission.slides.shapes import (
    LARGE,
    NORMAL,
    SMALL,
    TITLE,
    Box,
    Text,
    add_line,
    add_picture,
    add_rectangle,
    fill,
    inches,
    place,
    rgb,
    write,
)

WIDTH, HEIGHT, MARGIN = 13.333, 7.5, 0.6
BODY_TOP, BODY_BOTTOM = 1.4, 6.75
BODY_WIDTH = WIDTH - 2 * MARGIN
TINT = "#EEF2F6"
TITLE_LAYOUT, TITLE_ONLY_LAYOUT = 0, 5  # of python-pptx's default template


def new_deck(author: str) -> Deck:
    """A presentation of 16:9 without slides."""
    deck = Presentation()
    deck.slide_width, deck.slide_height = Inches(WIDTH), Inches(HEIGHT)
    properties = deck.core_properties  # those of the template name its author and his time
    properties.author = properties.last_modified_by = author
    properties.created = properties.modified = datetime.now(UTC).replace(tzinfo=None)
    properties.comments = ""
    return deck


def title_slide(
    deck: Deck, title: str, lines: Sequence[str], picture: bytes | None, description: str
) -> None:
    """The first slide: a title, lines below it, and a picture of 4:5 at the right, if there is one."""
    slide = deck.slides.add_slide(deck.slide_layouts[TITLE_LAYOUT])
    slide.background.fill.solid()
    slide.background.fill.fore_color.rgb = rgb(INK)
    width = WIDTH - 2 * MARGIN
    if picture:
        side = HEIGHT * 4 / 5
        width -= side
        add_picture(slide, Box(WIDTH - side, 0, side, HEIGHT), picture, description)
    for x, colour in ((MARGIN, REAL), (MARGIN + 1.5, FAKE)):
        add_rectangle(slide, Box(x, 4.0, 1.5, 0.14), colour)
    heading, subtitle = slide.shapes.title, slide.placeholders[1]
    place(heading, Box(MARGIN, 1.4, width, 2.4))
    write(heading.text_frame, [Text(title, 54, bold=True, colour=PAPER)])
    place(subtitle, Box(MARGIN, 4.4, width, 2.4))
    write(subtitle.text_frame, [Text(line, LARGE, colour=PAPER) for line in lines])


class Canvas:
    """A slide with a title, which shapes are added to.

    footer: a line at the bottom, such as a reservation about the figures above. notes: for the speaker.
    """

    def __init__(self, deck: Deck, title: str, footer: str = "", notes: str = "") -> None:
        self.slide: Slide = deck.slides.add_slide(deck.slide_layouts[TITLE_ONLY_LAYOUT])
        for x, colour in ((0, REAL), (WIDTH / 2, FAKE)):
            add_rectangle(self.slide, Box(x, 0, WIDTH / 2, 0.14), colour)
        shape = self.slide.shapes.title
        place(shape, Box(MARGIN, 0.22, BODY_WIDTH, 1.15))
        write(shape.text_frame, [Text(title, TITLE, bold=True)], middle=True)
        if footer:
            self.text(Box(MARGIN, 6.9, BODY_WIDTH - 0.9, 0.4), Text(footer, SMALL, colour=GREY), middle=True)
        self._number(Box(WIDTH - MARGIN - 0.8, 6.9, 0.8, 0.4), len(deck.slides))
        if notes:
            self.slide.notes_slide.notes_text_frame.text = notes

    def text(self, box: Box, *lines: Text, middle: bool = False, centred: bool = False) -> Shape:
        """Paragraphs."""
        shape = self.slide.shapes.add_textbox(*inches(box))
        write(shape.text_frame, lines, middle=middle, centred=centred)
        return shape

    def card(self, box: Box, *lines: Text, colour: str = TINT) -> None:
        """A rounded rectangle with centred paragraphs in it."""
        shape = add_rectangle(self.slide, box, colour, MSO_SHAPE.ROUNDED_RECTANGLE)
        shape.adjustments[0] = 0.08
        write(shape.text_frame, lines, middle=True, centred=True, inset=0.06)

    def arrow(self, *points: tuple[float, float]) -> None:
        """An arrow of straight lines through the points."""
        lines = list(pairwise(points))
        for number, (start, end) in enumerate(lines, 1):
            add_line(self.slide, start, end, arrow=number == len(lines))

    def row_of_cards(self, box: Box, cards: Sequence[Sequence[Text]]) -> list[Box]:
        """Cards of equal width, with arrows from each to the next. Returns their places."""
        gap, y = 0.5, box.y + box.height / 2
        width = (box.width - gap * (len(cards) - 1)) / len(cards)
        places = [Box(box.x + i * (width + gap), box.y, width, box.height) for i in range(len(cards))]
        for place_, lines in zip(places, cards, strict=True):
            self.card(place_, *lines)
        for left, right in pairwise(places):
            self.arrow((left.x + width + 0.05, y), (right.x - 0.05, y))
        return places

    def picture(self, box: Box, png: bytes, description: str) -> None:
        """A picture, stretched to the box. description: its alternative text."""
        add_picture(self.slide, box, png, description)

    def table(
        self,
        box: Box,
        rows: Sequence[Sequence[str]],
        widths: Sequence[float],
        *,
        marked: int | None = None,
        numbers: bool = True,
        colours: Sequence[str] = (),
    ) -> None:
        """A table whose first row is its header, each row as high as the others.

        widths: of the columns, as parts of their sum. marked: a row in bold. numbers: whether all columns but
        the first are aligned to the right. colours: of the header's cells.
        """
        frame = self.slide.shapes.add_table(len(rows), len(rows[0]), *inches(box))
        table = frame.table
        for column, width in enumerate(widths):
            table.columns[column].width = Inches(box.width * width / sum(widths))
        for row, cells in enumerate(rows):
            for column, text in enumerate(cells):
                cell = table.cell(row, column)
                header = row == 0
                background = colours[column] if header and colours else INK if header else PAPER
                cell.fill.solid()
                cell.fill.fore_color.rgb = rgb(TINT if row and row % 2 == 0 else background)
                cell.vertical_anchor = MSO_ANCHOR.MIDDLE
                cell.margin_top = cell.margin_bottom = Inches(0.02)
                line = Text(text, SMALL, bold=header or row == marked, colour=PAPER if header else INK)
                paragraph = cell.text_frame.paragraphs[0]
                fill(paragraph, line)
                paragraph.alignment = PP_ALIGN.RIGHT if numbers and column else PP_ALIGN.LEFT

    def gallery(
        self, pngs: Sequence[bytes], captions: Sequence[Sequence[Text]], descriptions: Sequence[str]
    ) -> None:
        """At most six square pictures in two rows, with paragraphs to the right of each."""
        side, width, height = 2.3, BODY_WIDTH / 3, 2.45
        for number, (png, lines, description) in enumerate(zip(pngs, captions, descriptions, strict=True)):
            x, y = MARGIN + number % 3 * width, BODY_TOP + number // 3 * height
            self.picture(Box(x, y, side, side), png, description)
            self.text(Box(x + side + 0.12, y, width - side - 0.15, side), *lines, middle=True)

    def bottom_line(self, text: str) -> None:
        """A sentence below the body of the slide."""
        self.text(Box(MARGIN, 6.3, BODY_WIDTH, 0.5), Text(text, NORMAL), middle=True)

    def points(self, points: Sequence[tuple[str, str]]) -> None:
        """Rows of a few bold words and a sentence, spread over the body of the slide."""
        height = (BODY_BOTTOM - BODY_TOP) / len(points)
        for number, (lead, sentence) in enumerate(points):
            y = BODY_TOP + number * height
            self.text(
                Box(MARGIN, y, 3.4, height - 0.1), Text(lead, LARGE, bold=True, colour=REAL), middle=True
            )
            self.text(
                Box(MARGIN + 3.5, y, BODY_WIDTH - 3.5, height - 0.1), Text(sentence, LARGE), middle=True
            )

    def _number(self, box: Box, number: int) -> None:
        """The slide's number, as a field: it stays right when slides are moved."""
        shape = self.text(box, Text(str(number), SMALL, colour=GREY), middle=True)
        paragraph = shape.text_frame.paragraphs[0]
        paragraph.alignment = PP_ALIGN.RIGHT
        run = paragraph.runs[0]._r
        run.tag = qn("a:fld")
        run.set("id", "{B6F15528-21DE-4FAA-801E-634DDDAF4B2B}")
        run.set("type", "slidenum")
