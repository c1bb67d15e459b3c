"""What words ask for, in many languages: stems by kind of request.

A word is looked up by its first five letters, which is one dictionary access for a word in any inflection; scripts without
spaces are searched for the phrases instead.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

STEM_LETTERS: Final = 5

KINDS: Final[Mapping[str, str]] = {
    "proof": (
        "prove proof proves derive show shown demonstrate deduce induction contradiction theorem lemma justify rigorous "
        "disprove irrational converges diverges beweise bewise leite herleitung begründ démontre demontrer déduis deduis "
        "demuestra deduce justifica dimostra dimostri deriva provar deduza bewijs afleiden leid udowodnij wyprowadź wykaż "
        "докажи докажите доказать выведите доведіть виведіть kanıtla ispat أثبت اثبت برهن اشتق ثابت سिद्ध सिद्ध प्रमाणित chứng "
        "buktikan bevisa härled dokažte αποδείξτε הוכח"
    ),
    "maths": (
        "calculate compute solve evaluate determine probability probabilty expected integral derivative equation inequality "
        "remainder divisible integers integer prime primes eigenvalues polynomial matrix triangle circle radius angle sum "
        "product digits modulo estimate ratio percent average berechne wahrscheinlich gleichung nullstelle rechne calcule "
        "résous probabilité équation calcula calcular probabilidad resuelve ecuación probabilità calcola equazione risolvi "
        "resolva equação bereken kans vergelijking oblicz prawdopodobieństwo równanie найдите решите вычислите вероятность "
        "уравнение обчисліть імовірність знайдіть hesapla olasılık denklem çöz احسب احتمال أوجد معادلة محاسبه معادله प्रायिकता "
        "समीकरण ज्ञात xác tính phương hitung peluang beräkna sannolikhet ekvation vypočítejte pravděpodobnost υπολογίστε "
        "πιθανότητα חשב הסתברות"
    ),
    "planning": (
        "schedule shift shifts roster timetable assign allocate constraints constraint optimise optimize minimise minimize "
        "maximise maximize fewest cheapest shortest fastest budget itinerary tasks deadline knapsack seating dienstplan "
        "schichtplan emploi horaire optimise optimisez turnos horario optimiza minimiza organiza organizza turni ottimizza "
        "escala otimize rooster optimaliseer grafik zoptymalizuj расписание график оптимизировать графік розклад çizelge "
        "nöbet مناوبات جدول شیفت शिफ्ट lịch jadwal schema rozvrh βαρδιών משמרות"
    ),
    "fault": (
        "debug deadlock traceback exception race thread threads threadsafe error crash crashes hang hangs leak segfault mutex "
        "lock locks concurrency concurrent slow query timeout bug bugs fails failing stack garbage panic undefined root-cause "
        "verklemm hängt fehler langsam fils interblocage bloque interbloqueo hilo thread stallo blocca trava vastgelopen "
        "traag zawiesza wątki zakleszczenie взаимная поток потоков блокировка зависает kilitlen iş_parçacığı خيطين يتوقف "
        "डेडलॉक थ्रेड luồng macet trådar hänger vlákna uvázne תהליכונים"
    ),
    "design": (
        "algorithm complexity implement recursion recursive iterative lock-free optimal efficient parser grammar automaton "
        "regular datastructure architecture architect design migrate protocol consistency idempotent trade-offs tradeoffs "
        "throughput latency scalable algorithmus entwirf komplexität algorithme complexité algoritmo diseña complejidad "
        "progetta algoritmo projete algoritme ontwerp algorytm zaprojektuj алгоритм алгоритма сложность algoritma tasarla "
        "خوارزمية الگوریتم एल्गोरिदम thuật algoritm algoritmus αλγόριθμο אלגוריתם"
    ),
    "reasoning": (
        "why analyse analyze argue argument conclude conclusion compare reason reasoning paradox assumption assumptions "
        "counterexample contradict knights knaves liar truth lies consistent necessarily possible impossible strategy puzzle "
        "riddle explain steps step logic logically evaluate assess diagnose reconcile flaw fallacy plausible hypothesis warum "
        "analysiere vergleiche pourquoi analyse compare analiza porqué razona analizza spiega analisa explique waarom "
        "analyseer przeanalizuj dlaczego uzasadnij почему проанализируйте обоснуйте чому neden analiz açıkla حلل لماذا التعليل "
        "تحلیل विश्लेषण समझाओ phân giải analisis jelaskan analysera förklara rozeberte נתח"
    ),
    "writing": (
        "write poem poems story stories email mail letter message caption slogan toast speech haiku limerick lyrics card note "
        "invitation birthday congratulate blog post title names joke jokes song compose draft describe bio gedicht schreib "
        "schreibe witz geburtstag brief nachricht écris rédige poème message anniversaire blague escribe poema mensaje correo "
        "cumpleaños chiste scrivi invito messaggio barzelletta escreva escreve legenda piada schrijf bericht mop napisz "
        "życzenia żart напиши поздравление сказку анекдот шутку вітання yaz mesajı fıkra اكتب رسالة نكتة بنویس پیام लिखो "
        "कहानी संदेश viết chúc tuliskan ucapan skriv tackkort napiš přání γράψε ευχή כתוב ברכת"
    ),
    "editing": (
        "translate summarise summarize summary rewrite rephrase correct proofread grammar spelling shorten format extract "
        "classify polite formal bullet tldr typos translation übersetz übersetze fasse höflich korrigiere traduis traduire "
        "corrige résume traduce resume corrige traduci correggi traduza resuma vertaal przetłumacz popraw переведи "
        "вежливее исправь переклади çevir kibar ترجم لخص ترجمه अनुवाद dịch terjemahkan översätt přelož תרגם"
    ),
    "talk": (
        "hi hello hey thanks thank thx please good morning cheers hallo danke guten bonjour merci salut hola gracias ciao "
        "grazie oi obrigado hoi dank cześć dziękuję привет спасибо привіт selam teşekkür مرحبا شكرا سلام नमस्ते धन्यवाद chào cảm "
        "halo terima hej tack ahoj γεια היי תודה สวัสดี"
    ),
    "lookup": (
        "who when where which what capital recommend suggest recipe cook gift movie film book restaurant weather wear travel "
        "trip name favourite ideas dish wine cat dog garden wer wann welche hauptstadt rezept kochen geschenk qui quand quelle "
        "capitale recette cadeau quién cuándo cuál receta regalo chi quale ricetta regalo quem qual receita presente wie "
        "welke recept cadeau kto jaka jak przepis poleć кто столица сварить посоветуй хто як порадь başkenti tarifi öner "
        "عاصمة اقترح كيف پایتخت چطور राजधानी कैसे thủ cách ibu bagaimana huvudstad vad recept hlavní πρωτεύουσα πώς בירת איך"
    ),
    "code": (
        "def class import return function func const let var public static void int string select from where join null none "
        "true false assert print elif else async await lambda struct enum namespace include console python javascript java "
        "rust sql golang postgres redis kubernetes docker git bash regex json yaml html css"
    ),
    "options": "following choose statement statements correct incorrect except following",
    "negation": "not no never none nobody neither nor cannot without except unless only exactly least most every each all any",
    "physics": (
        "velocity acceleration force energy electron voltage current temperature pressure wavelength frequency magnetic charge "
        "mass density kinetic thermodynamic photon lens spring torque momentum particle friction gravity orbit speed"
    ),
    "chemistry": (
        "molecule reaction acid mol molar moles titration equilibrium entropy enthalpy oxidation solution compound atom atoms "
        "ionic hydrogen carbon oxygen sodium chloride grams liter gas vapor"
    ),
    "engineering": (
        "beam stress load pipe flow heat steel motor circuit resistance resistor signal transformer turbine pump diameter inches "
        "feet reynolds btu lbm horsepower bandwidth capacitor amplifier winding armature"
    ),
    "life": (
        "enzyme protein gene genes cell cells species dna organism plant animal patient clinical disease vitamin blood muscle "
        "nerve bone virus bacteria symptoms treatment hormone evolution population"
    ),
    "mind": (
        "psychology psychologist therapist behavior client personality memory learning anxiety depression children development "
        "cognitive theory counseling test intelligence freud"
    ),
    "law": (
        "law court contract defendant plaintiff statute constitution tort liable negligence property landlord crime criminal "
        "murder robbery evidence witness jury trial legal amendment congress"
    ),
    "trade": (
        "economic demand supply market firm tax company business management price cost profit interest loan dollars income "
        "investment account accounting inflation monetary bank shares stock salary revenue"
    ),
    "past": (
        "history century war philosophy moral ethics passage author king empire revolution treaty kant aristotle plato religion "
        "ancient civilization archaeological according bc"
    ),
    "games": (
        "grid board cube puzzle sudoku crossword maze knight move moves rotate tower rectangle cell input output example letters "
        "sequence word words sentence string strings list matrix palindrome anagram sort reverse binary sides table rule rules"
    ),
}
"""Words by kind of request. Those of one stem are one."""

PHRASES: Final[Mapping[str, str]] = {
    "proof": "证明 推导 證明 証明 導出 증명 정당성 보이시오 유도 พิสูจน์ 示せ",
    "maths": "概率 方程 计算 素数 求 確率 計算 何通り 求めよ 整数 확률 방정식 구하 풀이 คำนวณ ความน่าจะเป็น สมการ",
    "planning": "排班 安排 不能连续 シフト表 連続不可 근무표 연속 금지 불가 ตารางเวร",
    "fault": "死锁 线程 优化 分析原因 デッドロック スレッド 原因 교착 스레드 원인 เธรด สาเหตุ",
    "design": "算法 复杂度 O(n) アルゴリズム 計算量 알고리즘 อัลกอริทึม",
    "reasoning": "真话 撒谎 为什么 最少 论证 分析 嘘つき 論理 なぜ 거짓말 참말 왜 최소 แสดงวิธี วิเคราะห์",
    "writing": "写一 祝福 名字 書いて メッセージ 俳句 써 줘 메시지 지어 เขียน คำอวยพร",
    "editing": "翻译 改得 礼貌 英語に 丁寧 번역 바꿔 공손 แปลเป็น",
    "talk": "你好 谢谢 こんにちは ありがとう 안녕 고마워 สวัสดี",
    "lookup": "首都 怎么做 推荐 什么意思 作り方 おすすめ 首都 수도 어떻게 끓 추천 วิธีทำ เมืองหลวง",
}
"""The same for scripts without spaces between words, or with endings glued to them."""


def stem_table() -> dict[str, int]:
    """Stem to the number of its kind, in the order of `KINDS`."""
    table: dict[str, int] = {}
    for number, words in enumerate(KINDS.values()):
        for word in words.split():
            table.setdefault(word[:STEM_LETTERS], number)
    return table


def phrase_table() -> tuple[tuple[str, int], ...]:
    """Phrase and the number of its kind."""
    numbers = {kind: number for number, kind in enumerate(KINDS)}
    return tuple((phrase, numbers[kind]) for kind, phrases in PHRASES.items() for phrase in phrases.split())
