"""Settings of Campaign, all read from the environment.

Without any variable set, Campaign runs on one machine with nothing installed: SQLite, a broker made of
files, a cache in the database and a mail catcher on loopback. Production sets DATABASE_URL, CELERY_BROKER_URL,
CACHE_URL, EMAIL_URL, PUBLIC_URL, SECRET_KEY, SUPPRESSION_KEY and ALLOWED_HOSTS; `campaign.checks` refuses to
start with a value that is only good for a demonstration.
"""

import os
from datetime import timedelta
from pathlib import Path

import environ
from celery.schedules import schedule
from csp.constants import NONE, SELF, UNSAFE_EVAL, UNSAFE_INLINE
from django.templatetags.static import static
from django.urls import reverse_lazy
from django.utils.translation import gettext_lazy as _

BASE_DIR = Path(__file__).resolve().parent.parent
env = environ.Env()

# -- what kind of run this is -------------------------------------------------------------------------------
DEBUG = env.bool("DEBUG", default=False)
# "local": one machine, demonstration and development. "production": the checks in campaign.checks apply.
ENVIRONMENT = env.str("CAMPAIGN_ENV", default="local")
DATA_DIR = Path(env.str("DATA_DIR", default=str(BASE_DIR / "var")))
DATA_DIR.mkdir(parents=True, exist_ok=True)

LOCAL_KEY_PREFIX = "local-only-"
SECRET_KEY = env.str("SECRET_KEY", default=LOCAL_KEY_PREFIX + "secret-key-for-one-machine-never-for-production")
SECRET_KEY_FALLBACKS = env.list("SECRET_KEY_FALLBACKS", default=[])
# Keys the digests of suppressed addresses. It can never change: digests outlive the addresses they stand for.
SUPPRESSION_KEY = env.str("SUPPRESSION_KEY", default=LOCAL_KEY_PREFIX + "suppression-key-for-one-machine")
# The ring that signs links: "id:secret" pairs, the first one signs, all verify; ids in LINK_KEYS_REVOKED do not.
LINK_KEYS = env.list("LINK_KEYS", default=[])
LINK_KEYS_REVOKED = [int(key) for key in env.list("LINK_KEYS_REVOKED", default=[])]
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"] if ENVIRONMENT == "local" else [])
PUBLIC_URL = env.str("PUBLIC_URL", default="http://127.0.0.1:8000").rstrip("/")
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[PUBLIC_URL] if PUBLIC_URL.startswith("https") else [])

# -- applications -------------------------------------------------------------------------------------------
INSTALLED_APPS = [
    "unfold",
    "unfold.contrib.filters",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "csp",
    "campaign",
    "landing",
    "deliveries",
    "quarantine",
    "profiles",
]
AUTH_USER_MODEL = "campaign.User"
ROOT_URLCONF = "campaign.urls"
WSGI_APPLICATION = "campaign.wsgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "campaign.middleware.UserPreferencesMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

# -- database, cache, broker --------------------------------------------------------------------------------
DATABASES = {"default": env.db("DATABASE_URL", default=f"sqlite:///{DATA_DIR / 'campaign.sqlite3'}")}
DATABASES["default"]["ATOMIC_REQUESTS"] = False
if DATABASES["default"]["ENGINE"].endswith("sqlite3"):
    # WAL with IMMEDIATE transactions: readers never wait, writers wait in a queue instead of failing.
    DATABASES["default"]["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA temp_store=MEMORY;",
    }
else:
    DATABASES["default"]["CONN_HEALTH_CHECKS"] = True
    # A server that is gone without a word is noticed within half a minute, and not after hours.
    DATABASES["default"]["OPTIONS"] = {
        "connect_timeout": 10, "keepalives_idle": 15, "keepalives_interval": 5, "keepalives_count": 3,
        "tcp_user_timeout": 30_000, **DATABASES["default"].get("OPTIONS", {}),
    }  # fmt: skip
    DATABASES["default"]["CONN_MAX_AGE"] = env.int("CONN_MAX_AGE", default=60)

CACHES = {"default": env.cache("CACHE_URL", default="dbcache://campaign_cache?max_entries=10000")}
# Django's cache in a database keeps a count for this long after it last moved, whatever it was begun with.
CACHES["default"].setdefault("TIMEOUT", timedelta(days=2).total_seconds())
if CACHES["default"]["BACKEND"].endswith("RedisCache"):
    # A cache that hangs must not hold up public pages: they do without it.
    CACHES["default"]["OPTIONS"] = {
        "socket_timeout": 1, "socket_connect_timeout": 1, **CACHES["default"].get("OPTIONS", {}),
    }  # fmt: skip

CELERY_BROKER_URL = env.str("CELERY_BROKER_URL", default="filesystem://localhost")
if CELERY_BROKER_URL.startswith("filesystem"):
    _queue = DATA_DIR / "broker"
    for folder in ("queue", "processed", "control"):
        (_queue / folder).mkdir(parents=True, exist_ok=True)
    CELERY_BROKER_TRANSPORT_OPTIONS = {
        "data_folder_in": str(_queue / "queue"),
        "data_folder_out": str(_queue / "queue"),
        "processed_folder": str(_queue / "processed"),
        "control_folder": str(_queue / "control"),
        "polling_interval": 0.1,
    }
else:
    CELERY_BROKER_TRANSPORT_OPTIONS = {"visibility_timeout": 3600}
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TIMEZONE = "UTC"
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
# A ring that no worker has heard until the next one is dropped: many at once would set many workers to one work.
_STALE = {"expires": env.int("RING_SECONDS", default=10)}
_RING = schedule(timedelta(seconds=env.int("RING_SECONDS", default=10)))
FETCH_SECONDS = env.int("FETCH_SECONDS", default=60)  # how often the mailbox of IMAP_URL is looked into
_FETCH = schedule(timedelta(seconds=FETCH_SECONDS))
# The broker only rings; the truth is rows with states and leases. These jobs ring again for work whose ring was lost.
CELERY_BEAT_SCHEDULE = {
    "ring-again": {"task": "deliveries.tasks.ring_again", "schedule": _RING, "options": _STALE},
    "start-scheduled": {"task": "deliveries.tasks.start_scheduled", "schedule": _RING, "options": _STALE},
    "drain-outbox": {"task": "deliveries.tasks.drain_outbox", "schedule": _RING, "options": _STALE},
    "public-requests": {"task": "landing.tasks.handle_requests", "schedule": _RING, "options": _STALE},
    "fold-counts": {"task": "landing.tasks.fold_counts", "schedule": schedule(timedelta(minutes=1))},
    "imports": {"task": "profiles.tasks.resume_imports", "schedule": _RING, "options": _STALE},
    "own-fields": {"task": "profiles.tasks.resume_fields", "schedule": _RING, "options": _STALE},
    "purge-uploads": {"task": "profiles.tasks.purge_uploads", "schedule": schedule(timedelta(hours=1))},
    "seal-ledger": {"task": "profiles.tasks.seal_ledger", "schedule": schedule(timedelta(minutes=1))},
    "blank-visitors": {"task": "profiles.tasks.blank_visitors", "schedule": schedule(timedelta(hours=1))},
    "count-subscribers": {"task": "profiles.tasks.count_subscribers", "schedule": schedule(timedelta(hours=6))},
    "expire-subscriptions": {"task": "profiles.tasks.expire_subscriptions", "schedule": schedule(timedelta(hours=1))},
    "purge-requests": {"task": "landing.tasks.purge_requests", "schedule": schedule(timedelta(hours=1))},
    "tidy-addresses": {"task": "quarantine.tasks.tidy", "schedule": schedule(timedelta(hours=1))},
    "outages": {"task": "quarantine.tasks.resume_outages", "schedule": _RING, "options": _STALE},
    "watch-bursts": {"task": "landing.tasks.watch_bursts", "schedule": schedule(timedelta(minutes=1))},
    "fetch-mail": {"task": "landing.tasks.fetch_mail", "schedule": _FETCH, "options": {"expires": FETCH_SECONDS}},
    "purge-reports": {"task": "deliveries.tasks.purge_reports", "schedule": schedule(timedelta(hours=1))},
    "count-left-out": {"task": "quarantine.tasks.count_left_out", "schedule": schedule(timedelta(minutes=10))},
    "watch-jumps": {"task": "quarantine.tasks.watch_jumps", "schedule": schedule(timedelta(minutes=2))},
    "purge-runs": {"task": "deliveries.tasks.purge_runs", "schedule": schedule(timedelta(minutes=10))},
}
CELERY_BEAT_SCHEDULE_FILENAME = str(DATA_DIR / "beat-schedule")

# -- mail ---------------------------------------------------------------------------------------------------
# smtp://127.0.0.1:1025 is the catcher of the demonstration: nothing leaves the machine unless EMAIL_URL says so.
EMAIL_URL_IS_SET = "EMAIL_URL" in env.ENVIRON
vars().update(env.email_url("EMAIL_URL", default="smtp://127.0.0.1:1025"))
EMAIL_TIMEOUT = env.int("EMAIL_TIMEOUT", default=30)
# Whether the mail server carries addresses with other letters than ASCII (RFC 6531); if not, they are left out.
EMAIL_SMTPUTF8 = env.bool("EMAIL_SMTPUTF8", default=True)
# The domain whose mail comes back to us: bounces then go to a signed address of it. Empty: to the brand's address.
BOUNCE_DOMAIN = env.str("BOUNCE_DOMAIN", default="")
# "domain:selector:file of a private key", to sign messages here (DKIM); by default the mail server does it.
DKIM_KEYS = env.list("DKIM_KEYS", default=[])
# Where mail programs may send "unsubscribe me" messages; `manage.py receive_mail` reads it (docs/inbound-mail.md).
UNSUBSCRIBE_MAILBOX = env.str("UNSUBSCRIBE_MAILBOX", default="")
# imaps://user:password@host/INBOX, a mailbox whose mail is fetched; and what then becomes of a message there: "seen",
# "delete", or "move:Folder".
IMAP_URL = env.str("IMAP_URL", default="")
INBOUND_AFTER = env.str("INBOUND_AFTER", default="seen")
# Mail providers whose webhooks are taken (docs/guide/providers.md): mailgun, postmark, amazon_ses... Each needs its
# secret, under the name that django-anymail gives it, as ANYMAIL_<name>; WEBHOOK_SECRET is "user:password".
ESP = env.list("ESP", default=[])
ESP_SNS_TOPICS = env.list("ESP_SNS_TOPICS", default=[])  # of amazon_ses: the topics (ARN) that are listened to
ANYMAIL = {
    name: value
    for name in (
        "WEBHOOK_SECRET", "MAILERSEND_SIGNING_SECRET", "MAILGUN_WEBHOOK_SIGNING_KEY", "MAILTRAP_SIGNING_SECRET",
        "MANDRILL_WEBHOOK_KEY", "POSTAL_WEBHOOK_KEY", "SENDGRID_TRACKING_WEBHOOK_VERIFICATION_KEY",
    )
    if (value := env.str(f"ANYMAIL_{name}", default=""))
} | {"MANDRILL_WEBHOOK_URL": f"{PUBLIC_URL}/hooks/mandrill/"}  # fmt: skip

# -- the engines --------------------------------------------------------------------------------------------
ANALYSIS_RANGE = env.int("ANALYSIS_RANGE", default=25_000)  # profile ids per transaction of the analysis
SMALL_TARGET = env.int("SMALL_TARGET", default=20_000)  # up to so many people, an analysis starts from them
LEASE_SIZE = env.int("LEASE_SIZE", default=1_000)  # log rows in one lease of the sending engine
LEASE_TIME = timedelta(seconds=env.int("LEASE_SECONDS", default=120))  # must exceed EMAIL_TIMEOUT
# Connections of one task to the mail server, each with its own to the database. SQLite has one writer at a time; more
# than there are processors make those wait who opt out meanwhile, where workers and web server share a machine.
_processors = min(4, max(2, os.cpu_count() or 2))
SENDING_CONNECTIONS = env.int(
    "SENDING_CONNECTIONS", default=1 if "sqlite" in DATABASES["default"]["ENGINE"] else _processors
)
# Tasks that may work on one delivery at the same time, each in a worker process of its own.
SENDING_TASKS = env.int("SENDING_TASKS", default=1)
# Messages checked and claimed together. 1: each right before it leaves. More is faster, and so many may still reach
# somebody who opts out meanwhile, or be in doubt when a worker is killed; never longer than a second after the check.
HAND_OFF_GROUP = env.int("HAND_OFF_GROUP", default=1)
# A delivery pauses by itself: when so many percent of at least so many messages went to addresses that do not exist;
# when so many percent of at least so many were reported as spam; when so many refusals were about us.
PAUSE_HARD_PERCENT = env.float("PAUSE_HARD_PERCENT", default=5.0)
PAUSE_HARD_AFTER = env.int("PAUSE_HARD_AFTER", default=200)
ALERT_COMPLAINT_PERCENT = env.float("ALERT_COMPLAINT_PERCENT", default=0.1)
PAUSE_COMPLAINT_PERCENT = env.float("PAUSE_COMPLAINT_PERCENT", default=0.3)
PAUSE_COMPLAINTS_AFTER = env.int("PAUSE_COMPLAINTS_AFTER", default=1_000)
PAUSE_REFUSALS = env.int("PAUSE_REFUSALS", default=10)
REPORT_DAYS = env.int("REPORT_DAYS", default=90)  # reports that came in, and what was decided about them
LOG_DAYS = env.int("LOG_DAYS", default=0)  # what became of each message of a delivery is kept this long; 0: for good
# Where workers and the web server share a machine, whoever presses a button goes before the mail that is being sent:
# the niceness that workers add to theirs (0 to 19).
WORKER_NICE = env.int("WORKER_NICE", default=10)
TASK_BUDGET = timedelta(seconds=env.int("TASK_BUDGET_SECONDS", default=60))  # a task rings again after this long
IMPORT_BATCH = env.int("IMPORT_BATCH", default=2_000)  # lines per transaction of an import, at most 5,000
IMPORT_MAX_BYTES = env.int("IMPORT_MAX_BYTES", default=500_000_000)
IMPORT_UPLOAD_DAYS = env.int("IMPORT_UPLOAD_DAYS", default=7)  # a file that nobody imports is then deleted
CONNECTION_RETRY_SECONDS = env.int("CONNECTION_RETRY_SECONDS", default=30)  # when nobody answers at all
# Forms of public pages. Those that make us write to somebody (opting in, asking for a link): per network and hour, per
# typed address (and page) and day, and altogether per hour. Those that stop messages: per network and hour only.
PUBLIC_POSTS_PER_HOUR = env.int("PUBLIC_POSTS_PER_HOUR", default=20)
PUBLIC_POSTS_PER_ADDRESS = env.int("PUBLIC_POSTS_PER_ADDRESS", default=10)
PUBLIC_POSTS_ALTOGETHER = env.int("PUBLIC_POSTS_ALTOGETHER", default=10_000)
PUBLIC_OPT_OUTS_PER_HOUR = env.int("PUBLIC_OPT_OUTS_PER_HOUR", default=500)
HOOK_REFUSALS_PER_HOUR = env.int("HOOK_REFUSALS_PER_HOUR", default=100)  # of one network, by mail providers' webhooks
# "altcha": a browser works out a sum before a form to opt in is taken (never one to opt out); up to so many tries.
CAPTCHA = env.str("CAPTCHA", default="")
CAPTCHA_WORK = env.int("CAPTCHA_WORK", default=50_000)
CONFIRMATION_HOURS = env.int("CONFIRMATION_HOURS", default=72)  # a double opt-in link lives this long
# The ledger keeps from where somebody opted in or out (network address, browser) this long; the rest of it stays.
VISITOR_DETAILS_KEPT = timedelta(days=env.int("VISITOR_DETAILS_DAYS", default=365))
# Mail filters that press every link: so many opt-outs of one mail domain, each at most so many seconds after its own
# message, and at least this part of all messages that left for the domain, are shown to administrators as a burst.
BURST_SECONDS = env.int("BURST_SECONDS", default=120)
BURST_MIN = env.int("BURST_MIN", default=10)
BURST_SHARE = env.float("BURST_SHARE", default=0.5)
# The first page tells of a mail domain when within a day messages to at least so many of its addresses came back for
# good, and at least so many times as many as on a day of the thirty before: its mail system may have broken down.
JUMP_MIN = env.int("JUMP_MIN", default=20)
JUMP_TIMES = env.float("JUMP_TIMES", default=5.0)
VALIDITY = timedelta(hours=env.int("VALIDITY_HOURS", default=84))  # temporary refusals are tried again this long
# What answers do to an address (docs/guide/quarantine.md): so many errors that may pass leave it out; one counts when
# the last is so old; without one for so long they are forgotten; a full mailbox is written to again after so long.
QUARANTINE_ERRORS = env.int("QUARANTINE_ERRORS", default=5)
QUARANTINE_BETWEEN_ERRORS = timedelta(hours=env.int("QUARANTINE_ERROR_HOURS", default=24))
QUARANTINE_FORGET = timedelta(days=env.int("QUARANTINE_FORGET_DAYS", default=10))
MAILBOX_FULL_RELEASE = timedelta(days=env.int("MAILBOX_FULL_DAYS", default=30))

# -- people and languages -----------------------------------------------------------------------------------
LANGUAGE_CODE = env.str("LANGUAGE_CODE", default="en")
LANGUAGES = [("en", _("English")), ("fr", _("French"))]
LOCALE_PATHS = [BASE_DIR / "locale"]
USE_TZ = True
TIME_ZONE = "UTC"
DEFAULT_COUNTRY = env.str("DEFAULT_COUNTRY", default="FR")  # reads national phone numbers of profiles without a country
LOGIN_URL = reverse_lazy("admin:login")
LOGIN_REDIRECT_URL = reverse_lazy("admin:index")

# -- files --------------------------------------------------------------------------------------------------
STATIC_URL = "/static/"
STATIC_ROOT = Path(env.str("STATIC_ROOT", default=str(DATA_DIR / "static")))
STATIC_ROOT.mkdir(parents=True, exist_ok=True)
STATICFILES_DIRS = [BASE_DIR / "campaign" / "static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
WHITENOISE_USE_FINDERS = True
# Uploaded imports. Never served: they hold personal data and are deleted when the import ends.
MEDIA_ROOT = DATA_DIR / "uploads"

# -- security -----------------------------------------------------------------------------------------------
_secure = PUBLIC_URL.startswith("https://")
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = _secure
SESSION_COOKIE_HTTPONLY = True
SECURE_SSL_REDIRECT = env.bool("SECURE_SSL_REDIRECT", default=_secure)
SECURE_HSTS_SECONDS = env.int("SECURE_HSTS_SECONDS", default=31_536_000 if _secure else 0)
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = _secure
BEHIND_PROXY = env.bool("BEHIND_PROXY", default=False)
if BEHIND_PROXY:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
    "django.contrib.auth.hashers.PBKDF2SHA1PasswordHasher",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
# Public pages: nothing but our own files. The admin theme needs more, on its own path: see campaign.middleware.
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "style-src": [SELF],
        "script-src": [SELF],
        "img-src": [SELF, "data:"],
        "font-src": [SELF],
        "form-action": [SELF],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
    }
}
ADMIN_CONTENT_SECURITY_POLICY = {
    "default-src": [SELF],
    "style-src": [SELF, UNSAFE_INLINE],
    "script-src": [SELF, UNSAFE_INLINE, UNSAFE_EVAL],
    "img-src": [SELF, "data:"],
    "font-src": [SELF],
    "connect-src": [SELF],
    "frame-src": [SELF],
    "form-action": [SELF],
    "base-uri": [SELF],
    "frame-ancestors": [SELF],
}

# SQLite has no covering indexes: it uses the unique (profile, channel, position) index instead.
SILENCED_SYSTEM_CHECKS = ["models.W040"]

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "{asctime} {levelname} {name} {message}", "style": "{"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": env.str("LOG_LEVEL", default="WARNING")},
}


# -- the back-office ----------------------------------------------------------------------------------------
FORMAT_MODULE_PATH = ["campaign.formats"]
UNFOLD = {
    "SITE_TITLE": "Campaign",
    "SITE_HEADER": "Campaign",
    "SITE_SYMBOL": "campaign",
    "SITE_FAVICONS": [{"rel": "icon", "type": "image/svg+xml", "href": lambda request: static("campaign/favicon.svg")}],
    "SITE_URL": None,
    "SHOW_VIEW_ON_SITE": False,
    "SHOW_BACK_BUTTON": True,
    "ENVIRONMENT": "campaign.navigation.environment",
    "STYLES": ["campaign.navigation.style_sheet"],
    "DASHBOARD_CALLBACK": "campaign.backoffice.home.dashboard",
    "BORDER_RADIUS": "6px",
    "SIDEBAR": {"show_search": False, "show_all_applications": False, "navigation": "campaign.navigation.sidebar"},
    "COLORS": {
        "primary": {
            "50": "#eefaf6", "100": "#d5f1e7", "200": "#aee3d1", "300": "#7bceb5", "400": "#49b295", "500": "#2b967b",
            "600": "#1f7863", "700": "#1b6151", "800": "#194d42", "900": "#174038", "950": "#0a2520",
        },
    },
}  # fmt: skip
# -- end of the back-office ---------------------------------------------------------------------------------
