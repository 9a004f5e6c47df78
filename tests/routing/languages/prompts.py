"""The same two prompts in many languages: one that demands work, and one question of fact."""

from __future__ import annotations

DEMANDING = {
    "en": "Design a job queue that survives crashes. Analyze its bottlenecks, compare it with a "
    "distributed log, prove that no job is lost and optimize the algorithm.",
    "zh": "设计一个能够承受崩溃的任务队列。分析其瓶颈，与分布式日志进行比较，证明不会丢失任何"
    "任务，并优化该算法。",
    "zh-Hant": "設計一個能夠承受當機的工作佇列。分析其瓶頸，與分散式日誌進行比較，證明不會遺失"
    "任何工作，並優化該演算法。",
    "ja": "クラッシュに耐えるジョブキューを設計してください。ボトルネックを分析し、分散ログと"
    "比較し、"
    "ジョブが失われないことを証明し、アルゴリズムを最適化してください。",
    "ko": "충돌에도 살아남는 작업 큐를 설계하세요. 병목을 분석하고 분산 로그와 비교하고 작업이"
    " 유실되지 않음을 "
    "증명하고 알고리즘을 최적화하세요.",
    "es": "Diseñe una cola de trabajos que sobreviva a los fallos. Analice sus cuellos de botella,"
    " "
    "compárela con un registro distribuido, demuestre que no se pierde ningún trabajo y optimice "
    "el algoritmo.",
    "pt": "Projete uma fila de tarefas que sobreviva a falhas. Analise os gargalos, compare-a com"
    " "
    "um log distribuído, demonstre que nenhuma tarefa se perde e otimize o algoritmo.",
    "fr": "Concevez une file de tâches qui survit aux pannes. Analysez ses goulots, comparez-la"
    " à "
    "un journal distribué, démontrez qu'aucune tâche n'est perdue et optimisez l'algorithme.",
    "it": "Progetta una coda di lavori che sopravviva ai guasti. Analizza i colli di bottiglia, "
    "confrontala con un registro distribuito, dimostra che nessun lavoro va perso e ottimizza "
    "l'algoritmo.",
    "de": "Entwerfen Sie eine Auftragswarteschlange, die Abstürze übersteht. Analysieren Sie die "
    "Engpässe, vergleichen Sie sie mit einem verteilten Log, beweisen Sie, dass kein Auftrag "
    "verloren geht, und optimieren Sie den Algorithmus.",
    "nl": "Ontwerp een takenwachtrij die crashes overleeft. Analyseer de knelpunten, vergelijk"
    " ze "
    "met een gedistribueerd logboek, bewijs dat geen taak verloren gaat en optimaliseer het "
    "algoritme.",
    "sv": "Konstruera en jobbkö som överlever krascher. Analysera flaskhalsarna, jämför den med"
    " en "
    "distribuerad logg, bevisa att inget jobb går förlorat och optimera algoritmen.",
    "da": "Udform en jobkø, der overlever nedbrud. Analysér flaskehalsene, sammenlign den med en "
    "distribueret log, bevis at intet job går tabt, og optimér algoritmen.",
    "ru": "Спроектируйте очередь заданий, которая переживает сбои. Проанализируйте узкие места, "
    "сравните её с распределённым журналом, докажите, что задания не теряются, и оптимизируйте "
    "алгоритм.",
    "uk": "Спроєктуйте чергу завдань, яка переживає збої. Проаналізуйте вузькі місця, порівняйте"
    " її "
    "з розподіленим журналом, доведіть, що завдання не губляться, і оптимізуйте алгоритм.",
    "pl": "Zaprojektuj kolejkę zadań, która przetrwa awarie. Przeanalizuj wąskie gardła, porównaj"
    " "
    "ją z rozproszonym dziennikiem, udowodnij, że żadne zadanie nie ginie, i zoptymalizuj "
    "algorytm.",
    "cs": "Navrhněte frontu úloh, která přežije pády. Analyzujte úzká místa, porovnejte ji s "
    "distribuovaným logem, dokažte, že se žádná úloha neztratí, a optimalizujte algoritmus.",
    "tr": "Çökmelere dayanan bir iş kuyruğu tasarlayın. Darboğazlarını analiz edin, dağıtık bir "
    "günlükle karşılaştırın, hiçbir işin kaybolmadığını kanıtlayın ve algoritmayı iyileştirin.",
    "vi": "Thiết kế một hàng đợi công việc chịu được sự cố. Phân tích các điểm nghẽn, so sánh với"
    " "
    "nhật ký phân tán, chứng minh không mất công việc nào và tối ưu thuật toán.",
    "id": "Rancang antrean pekerjaan yang tahan terhadap kegagalan. Analisis hambatannya, "
    "bandingkan dengan log terdistribusi, buktikan tidak ada pekerjaan yang hilang, dan optimalkan"
    " "
    "algoritmanya.",
    "th": "ออกแบบคิวงานที่ทนต่อการล่ม วิเคราะห์คอขวด เปรียบเทียบกับบันทึกแบบกระจาย พิสูจน์ว่าไ"
    "ม่มีงานสูญหาย "
    "และปรับปรุงอัลกอริทึม",
    "hi": "एक जॉब क्यू डिज़ाइन करें जो क्रैश झेल सके। इसकी बाधाओं का विश्लेषण करें, वितरित लॉग"
    " से तुलना करें, "
    "सिद्ध करें कि कोई जॉब नहीं खोती, और एल्गोरिदम को अनुकूलित करें।",
    "ar": "صمّم طابور مهام يصمد أمام الأعطال. حلّل اختناقاته، وقارنه بسجل موزّع، وأثبت عدم ضياع"
    " أي مهمة، "
    "وحسّن الخوارزمية.",
    "fa": "یک صف کار طراحی کن که در برابر خرابی مقاوم باشد. گلوگاه‌ها را تحلیل کن، آن را با یک"
    " لاگ توزیع‌شده "
    "مقایسه کن، ثابت کن که هیچ کاری گم نمی‌شود و الگوریتم را بهینه کن.",
    "he": "תכנן תור משימות ששורד קריסות. נתח את צווארי הבקבוק, השווה אותו ליומן מבוזר, הוכח שאף"
    " משימה אינה "
    "אובדת ומטב את האלגוריתם.",
    "el": "Σχεδίασε μια ουρά εργασιών που αντέχει σε σφάλματα. Ανάλυσε τα σημεία συμφόρησης, "
    "σύγκρινέ την με ένα κατανεμημένο αρχείο, απόδειξε ότι καμία εργασία δεν χάνεται "
    "και βελτιστοποίησε"
    " τον "
    "αλγόριθμο.",
    "hu": "Tervezz egy feladatsort, amely túléli az összeomlásokat. Elemezd a szűk "
    "keresztmetszeteket, hasonlítsd össze egy elosztott naplóval, bizonyítsd be, hogy egy feladat"
    " "
    "sem vész el, és optimalizáld az algoritmust.",
}
"""Design, analyze, compare, prove and optimize: moderate or complex in every language."""

UNKNOWN = {
    "ka": "დააპროექტე დავალებების რიგი, რომელიც გაუძლებს ავარიებს. გააანალიზე სუსტი ადგილები, "
    "შეადარე განაწილებულ ჟურნალს Kafka, დაამტკიცე, რომ დავალება არ იკარგება, და დაწერე Python-ზე.",
    "ta": "செயலிழப்புகளைத் தாங்கும் பணி வரிசையை வடிவமைக்கவும். அதன் தடைகளை ஆராயவும், Kafka உடன்"
    " ஒப்பிடவும், "
    "எந்தப் பணியும் இழக்கப்படவில்லை என நிரூபிக்கவும், Python இல் எழுதவும்.",
    "et": "Kavanda tööde järjekord, mis elab üle krahhid. Uuri selle kitsaskohti, võrdle seda "
    "hajutatud logiga, tõesta, et ükski töö ei lähe kaduma, ja kirjuta see ümber kiiremaks.",
}
"""The same in languages without a vocabulary."""

CAPITAL = {
    "en": "What is the capital of France?",
    "zh": "法国的首都是哪里？",
    "ja": "フランスの首都はどこですか？",
    "ko": "프랑스의 수도는 어디인가요?",
    "es": "¿Cuál es la capital de Francia?",
    "pt": "Qual é a capital da França?",
    "fr": "Quelle est la capitale de la France ?",
    "it": "Qual è la capitale della Francia?",
    "de": "Was ist die Hauptstadt von Frankreich?",
    "nl": "Wat is de hoofdstad van Frankrijk?",
    "sv": "Vad är Frankrikes huvudstad?",
    "ru": "Какой город является столицей Франции?",
    "uk": "Яке місто є столицею Франції?",
    "pl": "Jakie miasto jest stolicą Francji?",
    "cs": "Jaké je hlavní město Francie?",
    "tr": "Fransa'nın başkenti neresidir?",
    "vi": "Thủ đô của nước Pháp là gì?",
    "id": "Apa ibu kota Prancis?",
    "th": "เมืองหลวงของฝรั่งเศสคืออะไร",
    "hi": "फ़्रांस की राजधानी क्या है?",
    "ar": "ما هي عاصمة فرنسا؟",
    "fa": "پایتخت فرانسه کجاست؟",
    "he": "מהי בירת צרפת?",
    "el": "Ποια είναι η πρωτεύουσα της Γαλλίας;",
    "ka": "რა არის საფრანგეთის დედაქალაქი?",
    "hu": "Mi Franciaország fővárosa?",
    "fi": "Mikä on Ranskan pääkaupunki?",
}
"""A question of fact: simple in every language."""

SMALL_TALK = [
    "你好，我叫小明，我住在北京，我喜欢猫。你呢？",
    "계산기 어디 있어? 다시 말해 줘.",
    "Привет! Как дела? Чем занимаешься сегодня вечером?",
    "こんにちは、今日はとても良い天気ですね。レコードを聴いています。",
    "შენ როგორ ხარ? მე კარგად ვარ, მადლობა.",
    "Переведи на английский: спасибо за помощь, увидимся завтра.",
    "计算机是什么？",
    "谁是著名的设计师？",
    "ขอบคุณมากครับ วันนี้อากาศดี",
    "Merci beaucoup, à demain, bonne soirée à toi et à toute la famille !",
]
"""Simple, though some of it holds the letters of a term."""
