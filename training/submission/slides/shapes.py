"""The shapes that slides are made of. Lengths are in inches, sizes of type in points."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from pptx.dml.color import RGBColor
from pptx.enum.shapes import MSO_CONNECTOR, MSO_SHAPE
from pptx.enum.text import MSO_ANCHOR, MSO_AUTO_SIZE, PP_ALIGN
from pptx.oxml.ns import qn
from pptx.oxml.xmlchemy import OxmlElement
from pptx.shapes.autoshape import Shape
from pptx.shapes.base import BaseShape
from pptx.slide import Slide
from pptx.text.text import TextFrame, _Paragraph
from pptx.util import Inches, Pt

from training.evaluation.palette import GREY, INK

SMALL, NORMAL, LARGE, TITLE = 18, 20, 24, 34
FONT = "Arial"


class Box(NamedTuple):
    """The place of a shape: its left and upper edge, its width and height."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    text: str
    size: int = SMALL
    bold: bool = False
    colour: str = INK


def add_rectangle(slide: Slide, box: Box, colour: str, kind: MSO_SHAPE = MSO_SHAPE.RECTANGLE) -> Shape:
    """Add a rectangle of one colour, without an outline."""
    shape = slide.shapes.add_shape(kind, *inches(box))
    shape.fill.solid()
    shape.fill.fore_color.rgb = rgb(colour)
    shape.line.fill.background()
    _remove_style(shape)
    return shape


def add_line(slide: Slide, start: tuple[float, float], end: tuple[float, float], arrow: bool) -> None:
    """Add a straight line between two points. arrow: whether it ends with an arrowhead."""
    line = slide.shapes.add_connector(MSO_CONNECTOR.STRAIGHT, *(Inches(value) for value in (*start, *end)))
    line.line.width = Pt(3)
    line.line.color.rgb = rgb(GREY)
    _remove_style(line)
    if arrow:
        head = OxmlElement("a:tailEnd")
        head.set("type", "triangle")
        line.line._get_or_add_ln().append(head)


def add_picture(slide: Slide, box: Box, png: bytes, description: str) -> None:
    """Add a picture, stretched to the box. description: its alternative text."""
    shape = slide.shapes.add_picture(io.BytesIO(png), *inches(box))
    shape._element._nvXxPr.cNvPr.set("descr", description)


def write(
    frame: TextFrame,
    lines: Sequence[Text],
    *,
    middle: bool = False,
    centred: bool = False,
    inset: float = 0.0,
) -> None:
    """Fill a text frame with paragraphs, which wrap at its width. inset: on all four sides."""
    frame.word_wrap = True
    frame.auto_size = MSO_AUTO_SIZE.NONE
    frame.vertical_anchor = MSO_ANCHOR.MIDDLE if middle else MSO_ANCHOR.TOP
    frame.margin_left = frame.margin_right = frame.margin_top = frame.margin_bottom = Inches(inset)
    for number, line in enumerate(lines):
        paragraph = frame.paragraphs[0] if number == 0 else frame.add_paragraph()
        fill(paragraph, line)
        paragraph.alignment = PP_ALIGN.CENTER if centred else PP_ALIGN.LEFT


def fill(paragraph: _Paragraph, line: Text) -> None:
    """Put the text into a paragraph, with its size, weight and colour."""
    run = paragraph.add_run()
    run.text = line.text
    run.font.size, run.font.bold, run.font.name = Pt(line.size), line.bold, FONT
    run.font.color.rgb = rgb(line.colour)


def place(shape: BaseShape, box: Box) -> None:
    """Move a shape."""
    shape.left, shape.top, shape.width, shape.height = inches(box)


def inches(box: Box) -> tuple[Inches, ...]:
    """The box in python-pptx's unit."""
    return tuple(Inches(length) for length in box)


def rgb(colour: str) -> RGBColor:
    """A colour of `#RRGGBB`."""
    return RGBColor.from_string(colour.lstrip("#"))


def _remove_style(shape: BaseShape) -> None:
    """Remove the theme's style, which has a shadow; colours are set one by one."""
    shape._element.remove(shape._element.find(qn("p:style")))
