"""Telling languages apart cheaply: twelve and more, and silence rather than a guess."""

import pytest

from jevons.policies.language import LANGUAGES, language_of

SENTENCES = {
    "en": "What is the capital of Peru and how do I get there?",
    "de": "Was ist die Hauptstadt von Peru und wie komme ich dahin?",
    "fr": "Quelle est la capitale du Pérou et comment est-ce que je peux y aller ?",
    "es": "¿Cuál es la capital del Perú y cómo se llega en tren?",
    "it": "Qual è la capitale del Perù e come ci si arriva con il treno?",
    "pt": "Qual é a capital do Peru e como chego lá para uma visita?",
    "nl": "Wat is de hoofdstad van Peru en hoe kom ik er met het vliegtuig?",
    "pl": "Jaka jest stolica Peru i jak się tam dostać z Polski na wakacje?",
    "sv": "Vad är huvudstaden i Peru och hur kommer jag dit med tåg?",
    "tr": "Peru'nun başkenti ne ve oraya nasıl giderim, bu mümkün mü?",  # noqa: RUF001 - its own letters
    "ru": "Какая столица Перу и как туда добраться на поезде?",
    "uk": "Яка столиця Перу і як туди дістатися, та чи це далеко?",  # noqa: RUF001 - its own letters
    "zh": "秘鲁的首都是哪里?",
    "ja": "ペルーの首都はどこですか?",
    "ko": "페루의 수도는 어디인가요?",
    "ar": "ما هي عاصمة بيرو؟",
    "he": "מהי בירת פרו?",
    "hi": "पेरू की राजधानी क्या है?",
    "th": "เมืองหลวงของเปรูคือที่ไหน",
    "el": "Ποια είναι η πρωτεύουσα του Περού;",
}


@pytest.mark.parametrize("language", sorted(LANGUAGES))
def test_a_sentence_of_each(language):
    """Every language that a rule may name is told from the others."""
    assert language_of(SENTENCES[language]) == language


@pytest.mark.parametrize("text", ["", "Lima", "42 + 17 = ?", "kubectl get pods -A", "x" * 100_000])
def test_what_cannot_be_told_is_none(text):
    """Nothing, a name, a sum, a command."""
    assert language_of(text) is None
