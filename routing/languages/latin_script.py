"""Words of work in languages that are written in Latin letters, other than English.

None of them is an English word, so that they never change the score of an English prompt. A
term that ends in ``*`` is the beginning of a word; it is searched only in text with accents.
"""

from __future__ import annotations

LATIN_SCRIPT: dict[str, dict[str, str]] = {
    "any": {
        "build": "python* javascript*",
    },
    "es": {
        "plan": """
            diseña diseñar diseñe diseñen diseño implementa implementar implemente impleméntalo
            impleméntala impleméntalos implementalo optimiza optimizar optimice optimización
            refactoriza refactorizar refactorice algoritmo algoritmos distribuido distribuida
            distribuidos arquitectura escalable depura depurar desarrolla desarrollar desarrolle
            construye planifica estrategia concurrente concurrencia complejidad migra
        """,
        "compare": """
            compara comparar compárala compáralos analiza analizar analice análisis evalúa
            evaluar evalúe compáralas
        """,
        "prove": "demuestra demostrar demuestre deriva derivar prueba_que teorema justifica",
        "explain": "explica explicar explique porque supón razona",
        "bound": "debe deben sin garantiza asegura detallado detalladamente mínimo paso_a_paso",
        "build": "código función programa base_de_datos",
        "calculate": """
            calcula calcular calcule ecuación ecuaciones probabilidad matriz resuelve resolver
        """,
        "story": "poema cuento novela canción",
    },
    "pt": {
        "plan": """
            projete projetar projeta desenhe implemente implementar implementa otimize otimizar
            otimiza optimize otimização refatore refatorar refatora algoritmo algoritmos
            distribuído distribuída distribuídos arquitetura escalável depure depurar desenvolva
            desenvolver construa planeje estratégia concorrente concorrência complexidade
        """,
        "compare": "comparar analise analisar análise avalie avaliar resuma contraste",
        "prove": "demonstre demonstrar comprove provar deduza derive teorema justifique",
        "explain": "explique explicar porquê suponha",
        "bound": "deve devem sem garanta detalhado detalhadamente passo_a_passo mínimo",
        "build": "código função programa banco_de_dados",
        "calculate": "calcule calcular equação equações probabilidade resolva resolver",
        "story": "poema conto canção",
    },
    "fr": {
        "plan": """
            concevoir concevez conçois conçoit implémenter implémentez implémente implémentation
            implémente-le optimiser optimisez refactoriser refactorise refactorisez algorithme
            algorithmes algorithm* distribué distribuée distribués répartie réparti évolutive
            évolutif déboguer débogue développer développez développe construis élabore élaborez
            stratégie complexité migrer
        """,
        "compare": """
            comparer comparez analyser analysez évaluer évaluez évalue synthétise résumer
            résumez
        """,
        "prove": """
            démontrer démontrez démontre prouver prouvez prouve déduis déduisez dériver théorème
            justifie justifiez
        """,
        "explain": "pourquoi expliquez explique expliquer parce supposons",
        "bound": "doit doivent sans garantir garantis détaillé détaillée étape_par_étape moins",
        "build": "fonction base_de_données",
        "calculate": "calculer calculez calcule probabilité matrice résoudre résous résolvez",
        "story": "poème histoire",
    },
    "it": {
        "plan": """
            progetta progettare progettate progetti_un implementa implementare implementalo
            implementate ottimizza ottimizzare ottimizzazione rifattorizza rifattorizzare
            algoritmo algoritmi distribuito distribuita distribuiti architettura scalabile
            sviluppa sviluppare costruisci pianifica strategia concorrente concorrenza
            complessità realizza
        """,
        "compare": """
            confronta confrontare paragona analizza analizzare analisi valuta valutare riassumi
        """,
        "prove": "dimostra dimostrare dimostrate prova_che deduci deriva teorema giustifica",
        "explain": "perché spiega spiegare supponi",
        "bound": "deve devono senza garantisci dettagliato dettagliata almeno passo_per_passo",
        "build": "codice funzione programma base_di_dati",
        "calculate": """
            calcola calcolare equazione equazioni probabilità matrice risolvi risolvere
        """,
        "story": "poesia racconto romanzo canzone",
    },
    "de": {
        "plan": """
            entwirf entwerfen entwerfe entwurf implementiere implementieren implementier
            implementierung optimiere optimieren optimierung refaktoriere refaktorieren
            algorithmus algorithmen verteilten verteilter verteiltes verteilte verteiltem
            architektur skalierbar skalierbare skalierbares skalierbaren entwickle entwickeln
            baue debugge strategie nebenläufig nebenläufige nebenläufigen komplexität migriere
            konzipiere konzipieren erstelle_einen_plan programmiere
        """,
        "compare": """
            vergleiche vergleichen vergleich analysiere analysieren bewerte bewerten beurteile
            erörtere fasse
        """,
        "prove": """
            beweise beweisen beweis herleiten leite_her folgere begründe begründen zeige_dass
            satz_von
        """,
        "explain": "warum weil erkläre erklären wieso angenommen",
        "bound": """
            muss müssen ohne mindestens höchstens garantiere ausführlich detailliert
            schrittweise
        """,
        "build": "funktion programm datenbank skript",
        "calculate": "berechne berechnen gleichung gleichungen wahrscheinlichkeit löse",
        "story": "gedicht geschichte märchen",
    },
    "nl": {
        "plan": """
            ontwerp ontwerpen implementeer implementeren optimaliseer optimaliseren
            optimalisatie refactoreer herstructureer algoritme algoritmes algoritmen
            gedistribueerde gedistribueerd verdeelde architectuur schaalbaar schaalbare
            ontwikkel ontwikkelen bouw strategie complexiteit plan_een
        """,
        "compare": "vergelijk vergelijken analyseer analyseren evalueer evalueren beoordeel",
        "prove": "bewijs bewijzen leid_af toon_aan stelling onderbouw",
        "explain": "waarom leg_uit verklaar omdat",
        "bound": "moet moeten zonder minstens gedetailleerd stapsgewijs",
        "build": "functie programma databank gegevensbank",
        "calculate": "bereken berekenen vergelijking kans los_op",
        "story": "gedicht verhaal",
    },
    "sv": {
        "plan": """
            designa utforma konstruera implementera optimera optimering refaktorera algoritm
            algoritmer algoritmerna distribuerad distribuerat distribuerade arkitektur skalbar
            skalbart utveckla bygg felsök strategi komplexitet
        """,
        "compare": "jämför jämföra analysera utvärdera sammanfatta bedöm",
        "prove": "bevisa bevis härled sats_om motivera",
        "explain": "varför förklara eftersom",
        "bound": "måste utan minst garantera detaljerad detaljerat steg_för_steg",
        "build": "kod funktion databas",
        "calculate": "beräkna ekvation ekvationer sannolikhet lös",
        "story": "dikt berättelse",
    },
    "da_no": {
        "plan": """
            utform implementere optimer optimér optimaliser refaktorer refaktorér algoritme
            algoritmer algoritmene distribueret distribuert distribuerede arkitektur udvikl
            utvikle skalerbar skalerbart kompleksitet
        """,
        "compare": "sammenlign sammenligne analyser analysér evaluer vurdér vurder",
        "prove": "bevis bevise udled utled begrund",
        "explain": "hvorfor forklar",
        "bound": "uden uten mindst minst skal_kunne",
        "build": "kode funktion funksjon databasen",
        "calculate": "beregn beregne ligning likning",
        "story": "digt dikt historie eventyr",
    },
    "pl": {
        "plan": """
            zaprojektuj* projektuj* zaimplementuj* implementacj* zoptymalizuj* optymalizacj*
            zrefaktoryzuj* refaktoryz* algorytm* rozproszon* współbieżn* architektur* skalowaln*
            zdebuguj* opracuj* zbuduj* strategi* złożonoś* zaplanuj* zdiagnozuj* przenieś*
        """,
        "compare": "porównaj* porówn* przeanalizuj* analiz* oceń* zestaw podsumuj* omów*",
        "prove": "udowodnij* udowodni* dowód* wykaż* wyprowadź* twierdzeni* uzasadnij*",
        "explain": "dlaczego wyjaśnij* wytłumacz* jeśli załóż*",
        "bound": "musi muszą najmniej zapewnij* szczegółow* krok_po_kroku bez",
        "build": "kodu funkcj* bazę_danych bazy_danych skrypt*",
        "calculate": "oblicz* równani* prawdopodobieństw* macierz* rozwiąż*",
        "story": "wiersz* opowiadani* bajk*",
    },
    "cs": {
        "plan": """
            navrhni* navrhněte navrhnout implementuj* naimplementuj* implementac* optimalizuj*
            optimalizac* refaktoruj* zrefaktoruj* algoritm* distribuovan* souběžn* architektur*
            škálovateln* vytvoř_návrh vyviň* odlaď* strategi* složitost* naplánuj* postav_
        """,
        "compare": """
            porovnej* porovnat srovnej* analyzuj* zanalyzuj* vyhodnoť* zhodnoť* shrň* posuď*
        """,
        "prove": "dokaž* dokázat odvoď* důkaz* věta_o zdůvodni*",
        "explain": "proč vysvětli* protože jestliže",
        "bound": "musí alespoň zaruč* zajisti* podrobn* krok_za_krokem",
        "build": "kód* funkc* databáz* skript*",
        "calculate": "vypočítej* spočítej* rovnic* pravděpodobnost* vyřeš*",
        "story": "báseň* povídk* pohádk* příběh*",
    },
    "tr": {
        "plan": """
            tasarla* tasarım* uygula uygulay* gerçekleştir* optimize_et* iyileştir* algoritma*
            dağıtık* dağıtılmış* eşzamanlı* mimari* ölçeklenebilir* yeniden_düzenle* refaktör*
            hata_ayıkla* geliştir* strateji* oluştur* karmaşıklı* planla* kodla*
        """,
        "compare": "karşılaştır* analiz_et* analiz değerlendir* incele* özetle* çözümle*",
        "prove": "kanıtla* ispatla* ispat* çıkarım* teorem* türet*",
        "explain": "neden niçin açıkla* eğer varsay*",
        "bound": "mutlaka zorunda en_az garanti* ayrıntılı* adım_adım olmadan",
        "build": "kodu* fonksiyon* veritaban* betik*",
        "calculate": "hesapla* denklem* olasılı* matris* çöz_",
        "story": "şiir* hikaye* öykü* masal*",
    },
    "vi": {
        "plan": """
            thiết_kế cài_đặt triển_khai hiện_thực tối_ưu thuật_toán giải_thuật phân_tán
            kiến_trúc chiến_lược tái_cấu_trúc gỡ_lỗi phát_triển xây_dựng mở_rộng song_song
            lập_kế_hoạch độ_phức_tạp mô_phỏng viết_chương_trình
        """,
        "compare": "so_sánh phân_tích đánh_giá tóm_tắt",
        "prove": "chứng_minh suy_ra định_lý suy_luận",
        "explain": "tại_sao vì_sao giải_thích lý_do nếu giả_sử",
        "bound": "phải không_dùng ít_nhất đảm_bảo chi_tiết từng_bước",
        "build": "hàm mã_nguồn chương_trình cơ_sở_dữ_liệu",
        "calculate": "tính_toán phương_trình xác_suất ma_trận hãy_tính",
        "story": "bài_thơ câu_chuyện truyện_ngắn",
    },
    "id": {
        "plan": """
            rancang rancanglah merancang desain implementasikan implementasi terapkan optimalkan
            optimasi optimisasi algoritma algoritme terdistribusi arsitektur kembangkan
            buatkan_rancangan skalabel refaktor strategi bangun kompleksitas rencanakan
            reka_bentuk laksanakan
        """,
        "compare": """
            bandingkan analisis analisislah analisa evaluasi nilailah bandingkanlah rangkum
        """,
        "prove": "buktikan buktikanlah turunkan simpulkan teorema",
        "explain": "mengapa jelaskan kenapa jika",
        "bound": "harus tanpa pastikan rinci terperinci",
        "build": "kode fungsi basis_data pangkalan_data",
        "calculate": "hitung hitunglah persamaan probabilitas matriks",
        "story": "puisi cerita cerpen pantun",
    },
    "ro": {
        "plan": """
            proiectează proiectați implementează implementați optimizează optimizați algoritmi
            algoritmii algoritmul algoritmilor distribuit distribuită arhitectură scalabil
            dezvoltă refactorizează strategie
        """,
        "compare": "compară comparați analizează analizați evaluează",
        "prove": "demonstrează demonstrați dovedește",
        "explain": "explică explicați",
        "bound": "fără trebuie",
        "build": "funcție cod_sursă bază_de_date",
        "calculate": "calculează ecuație",
    },
    "hu": {
        "plan": """
            tervezz* tervezd implementáld* valósítsd valósíts optimalizál* algoritmus*
            elosztott* architektúr* skálázható* fejlessz* stratégi* refaktorál* bonyolultság*
        """,
        "compare": "hasonlítsd hasonlíts elemezd* elemezz* értékeld* összehasonlít*",
        "prove": "bizonyítsd bizonyíts bizonyítás* vezesd_le",
        "explain": "miért magyarázd*",
        "bound": "nélkül legalább",
        "build": "kód* függvény* adatbázis*",
        "calculate": "számítsd számold egyenlet* valószínűség*",
    },
    "fi": {
        "plan": """
            suunnittele* toteuta* optimoi* algoritmi* hajautet* arkkitehtuuri* skaalautuv*
            kehitä refaktoroi* strategia*
        """,
        "compare": "vertaa vertaile* analysoi* arvioi*",
        "prove": "todista* osoita_että johda",
        "explain": "miksi selitä* perustele*",
        "bound": "täytyy vähintään ilman",
        "build": "koodi* funktio* tietokan*",
        "calculate": "laske yhtälö* todennäköisyy*",
    },
}
