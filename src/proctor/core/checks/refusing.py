"""Tells a refusal that was stored as an answer from a text that only speaks of one."""

from __future__ import annotations

import re

from dataclasses import dataclass
from typing import ClassVar, Final

from proctor.core.checks.check import PASS, Finding, Given, TextCheck, fail
from proctor.core.checks.echoing import words
from proctor.core.checks.lazy import compiled

MOST_WORDS: Final = 80
"""In a longer text there is an answer behind the refusal."""
_SORRY: Final = (
    r"(?:(?:oh|well|ok|okay|hi|hello|thank you[\w ]{0,30}|thanks[\w ]{0,30})[,.!]*\s+)?"
    r"(?:(?:i['’]?m|i am|we are|we['’]re)\s+(?:very |really |so |truly )?"
    r"(?:sorry|afraid)(?: to say)?|sorry|my apologies|apologies|i apologi[sz]e(?: for [\w ]{1,40})?"
    r"|unfortunately|regrettably|i understand[\w ,]{0,60}|i appreciate[\w ,]{0,60})?"
    r"[,.:;!—–-]*\s*(?:but\s+)?(?:that\s+)?(?:unfortunately,?\s+)?"
    r"(?:as an? (?:ai|artificial intelligence|large language model|language model|assistant)"
    r"[\w -]{0,40},?\s+)?"
)
_CANNOT: Final = (
    r"(?:i|we)\s*(?:can(?:no|['’]?)t|can not|could(?:n['’]t| not)|won['’]?t|will not"
    r"|(?:am|are|['’]m|['’]re)\s+(?:not able|unable|not allowed|not permitted|not comfortable)"
    r"(?:\s+(?:to|with))?|(?:must|have to)\s+(?:respectfully\s+)?(?:decline|refuse)(?:\s+to)?"
    r"|(?:do not|don['’]?t) (?:feel comfortable|have the ability)(?: to)?)\s*(?:\w+ly\s+)?"
)
# What only somebody who serves does; a song's narrator "can't describe" and "can't help falling".
_SERVES: Final = (
    r"(?:(?:help|assist)(?:ing)?(?: you| anyone)?(?: with\b|[.!]|$)"
    r"|(?:comply|fulfil+|complete|process|respond to|answer)(?:ing)?\b[^.!?]{0,40}"
    r"\b(?:that|this|these|those|request\w*|question\w*|quer(?:y|ies)|prompt|with|task)\b"
    r"|(?:provide|generate|create|produce|write|reproduce|share|offer|give|engage in|discuss"
    r"|assist in|help)(?:ing)?\b[^.!?]{0,60}\b(?:content|information|request|response|lyrics"
    r"|advice|answer|details|summary|description|analysis|text|material|assistance|this"
    r"|that|these)\b"
    r"|(?:describe|analy[sz]e|summari[sz]e|translate|determine|identify|access|view|see|open|browse"
    r"|find|classify|evaluate|assess)\b[^.!?]{0,60}\b(?:provided|lyrics|text|songs?|image|photo"
    r"|files?|links?|urls?|input|document|content|request|without|based on|information|data)\b)"
)
_ENGLISH: Final = (
    _SORRY + _CANNOT + _SERVES,
    r"(?:i['’]?m sorry[,.]?\s*(?:but\s+)?)?as an? (?:ai|large language model|language model)\b"
    r"[\w -]{0,40},?\s+(?:i|my)\b",
    r"(?:i['’]?m sorry|sorry|unfortunately)[,.]?\s*(?:but\s+)?(?:i (?:don['’]?t|do not) have"
    r"|there is(?: not|n['’]t)? )[^.!?]{0,30}\b(?:access|enough (?:information|context"
    r"|details|data)"
    r"|information about|the lyrics)\b",
    r"i (?:don['’]?t|do not) have (?:any |direct |the )?(?:access to|enough (?:information|context)"
    r"|personal (?:opinions|feelings))\b",
    r"(?:i['’]?m sorry[,.]?\s*(?:but\s+)?)?(?:this|the|your) (?:request|prompt|content)\b"
    r"[^.!?]{0,40}\b(?:violates|goes against|is against)\b",
    r"(?:please|could you(?: please)?) (?:provide|share|give)(?: me)?(?: with)? (?:the|more|some)\b"
    r"[^.!?]{0,40}\b(?:lyrics|text|details|context|information|content|input)\b",
    r"(?:i['’]?m )?sorry,? (?:but )?i (?:can(?:no|['’]?)t|won['’]?t)(?: do (?:that|this))?[.!]?$",
)
_OTHERS: Final = (
    # German
    r"(?:(?:es )?tut mir (?:sehr )?leid|entschuldigung|leider)\b[^.!?]{0,40}\b(?:kann|darf|werde)\b"
    r"[^.!?]{0,80}\b(?:nicht|kein\w*)\b[^.!?]{0,60}\b(?:helfen|beantworten|erstellen|bereitstellen"
    r"|unterstützen|schreiben|nachkommen|erfüllen|geben|generieren|wiedergeben|analysieren)\b",
    r"(?:ich (?:kann|darf)|dabei kann ich|das kann ich|diese anfrage kann ich)\b[^.!?]{0,50}"
    r"\b(?:nicht|kein\w*)\b[^.!?]{0,50}\b(?:weiterhelfen|behilflich|helfen|beantworten|erstellen"
    r"|bereitstellen|nachkommen|erfüllen)\b",
    r"als (?:ki|künstliche intelligenz|sprachmodell|ki-\w+"
    r"|ki-modell)\b[^.!?]{0,30}\b(?:kann|darf|habe|bin)\b",
    # French
    r"(?:(?:je suis |je )?(?:désolée?|regrette)"
    r"|malheureusement)\b[^.!?]{0,30}\bje ne (?:peux|suis|puis)\b",
    r"je ne (?:peux|suis) (?:pas|malheureusement pas)[^.!?]{0,30}\b(?:aider|répondre"
    r"|fournir|générer"
    r"|créer|reproduire|traiter|en mesure)\b",
    r"en tant (?:qu['’]|que )(?:ia|intelligence artificielle|modèle de langage|assistant)\b",
    # Spanish
    r"(?:lo siento|lo lamento|disculpa|lamentablemente"
    r"|desafortunadamente)\b[^.!?]{0,30}\bno (?:puedo"
    r"|me es posible|estoy)\b",
    r"no puedo (?:ayudar\w*|proporcionar|generar|cumplir|responder|asistir\w*|crear)\b",
    r"como (?:una? )?(?:ia|inteligencia artificial|modelo de lenguaje)\b",
    # Italian
    r"(?:mi dispiace|purtroppo|spiacente)\b[^.!?]{0,30}\bnon (?:posso|sono in grado)\b",
    r"non (?:posso|sono in grado di) (?:aiutar\w*|fornir\w*|generare|soddisfare|rispondere"
    r"|assister\w*)\b",
    r"(?:come|in quanto) (?:ia|intelligenza artificiale|modello linguistico)\b",
    # Portuguese
    r"(?:desculpe|sinto muito|lamento|infelizmente)\b[^.!?]{0,30}\bnão (?:posso|consigo|estou)\b",
    r"não (?:posso|consigo) (?:ajudar|fornecer|gerar|atender|responder|auxiliar)\b",
    r"como (?:uma? )?(?:ia|inteligência artificial|modelo de linguagem)\b",
    # Dutch
    r"(?:het spijt me|sorry|helaas)\b[^.!?]{0,20}\bkan ik\b[^.!?]{0,60}\b(?:niet|geen)\b",
    r"(?:daar|hier)(?:bij|mee) kan ik[^.!?]{0,20}\bniet\b[^.!?]{0,20}\bhelpen\b",
    r"als (?:ai|taalmodel|ai-\w+)\b[^.!?]{0,20}\b(?:kan|heb|ben)\b",
    # Polish
    r"(?:przepraszam|przykro mi|niestety)\b[^.!?]{0,30}\bnie (?:mogę|jestem w stanie)\b",
    r"nie mogę (?:pomóc|udzielić|spełnić|odpowiedzieć)\b",
    # Russian and Ukrainian
    r"(?:извините|простите|к сожалению|мне жаль|сожалею)\b[^.!?]{0,30}\b(?:не могу"
    r"|не в состоянии)\b",
    r"я не могу (?:помочь|предоставить|выполнить|ответить|создать)\b",
    r"как (?:ии|искусственный интеллект|языковая модель)\b",
    r"(?:вибачте|на жаль|перепрошую)\b[^.!?]{0,30}\b(?:не можу)\b",
    # Chinese, Japanese, Korean: without word bounds
    r"(?:很?抱歉|对不起|對不起|不好意思)[^。！？]{0,20}(?:无法|無法|不能|不便)",
    r"(?:我无法|我無法|我不能)(?:提供|回答|协助|協助|满足|滿足|帮助|幫助|完成|生成)",
    r"作为(?:一个|一款|一名)?(?:ai|人工智能|语言模型)",
    r"(?:申し訳(?:ありません|ございません)|すみません|ごめんなさい|恐れ入りますが|残念ながら)[^。！？]{0,60}"
    r"(?:できません|できかねます|お答えできません|いたしかねます)",
    r"(?:죄송합니다|죄송하지만|미안하지만)[^!?]{0,60}(?:수 없습니다|수 없어요|어렵습니다)",
)
# What somebody cannot do who was asked for data, and says so in its place.
_LISTS: Final = (
    r"(?:name|list|verify|confirm|identify|find|recall|recommend|suggest|give|provide|offer"
    r"|come up with|think of|vouch for)(?:ing)?\b"
)
_QUOTES: Final = {'"': '"', "“": "”", "„": "“", "«": "»", "'": "'", "‘": "’", "「": "」"}
_REFUSED: Final = "|".join(f"(?:{phrase})" for phrase in (*_ENGLISH, *_OTHERS))
_SAID_NO: Final = f"{_REFUSED}|(?:{_SORRY}{_CANNOT}{_LISTS})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal(TextCheck):
    """The text is no refusal of the model's: it does not begin with one and hold little else.

    Phrases of English, German, French, Spanish, Italian, Portuguese, Dutch, Polish, Russian,
    Ukrainian, Chinese, Japanese and Korean, at the beginning alone.
    """

    kind: ClassVar[str] = "refusal"

    def text(self, text: str, given: Given) -> Finding:  # noqa: ARG002 - the seam of every check
        """A quotation of a refusal is none, unless it is all that there is."""
        return fail("is a refusal") if _begins(_REFUSED, text) else PASS


def says_no(text: str) -> bool:
    """Whether a reply that should be data is a refusal: nothing in it could be data.

    More is one here than in a text for people, who do not say "I cannot name 20" in passing.
    """
    return not any(sign in text for sign in "{[") and _begins(_SAID_NO, text)


def _begins(phrases: str, text: str) -> bool:
    bare = _unquoted(text.strip().lstrip("#> ").replace("**", "").replace("__", ""))
    found = compiled(phrases, re.IGNORECASE).match(bare)
    return found is not None and len(words(bare)) <= MOST_WORDS


def _unquoted(text: str) -> str:
    """The text without quotes around all of it."""
    closer = _QUOTES.get(text[:1])
    whole = closer is not None and text.endswith(closer) and closer not in text[1:-1]
    return text[1:-1].strip() if whole else text
