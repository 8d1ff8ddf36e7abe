# One image for the web, the worker, the beat and the migrations; docker-compose.yml says which command runs.
FROM python:3.12-slim

ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1

# Its own user, and one folder it may write to: everything else can be mounted read-only.
RUN useradd --system --uid 10001 --no-create-home campaign && install -d -o campaign -g campaign /data
ENV DATA_DIR=/data STATIC_ROOT=/app/static

WORKDIR /app
# The packages first: their layer is made again only when the lock changes.
COPY requirements/run.txt requirements/captcha.txt requirements/dkim.txt requirements/esp.txt requirements/
RUN pip install --require-hashes -r requirements/run.txt -r requirements/captcha.txt -r requirements/dkim.txt \
    -r requirements/esp.txt
COPY . .
# Nothing is compiled at run time, where the image may be read-only. Settings of one machine do for collecting files.
RUN python -m compileall -q . && DATA_DIR=/tmp/build python manage.py collectstatic --noinput && rm -rf /tmp/build

USER campaign
EXPOSE 8000
CMD ["gunicorn", "campaign.wsgi", "--bind", "0.0.0.0:8000"]
