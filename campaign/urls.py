"""The addresses of Campaign: the back-office under /admin/, the public pages under their own."""

from django.contrib import admin
from django.urls import include, path

urlpatterns = [path("admin/", admin.site.urls), path("", include("landing.urls"))]
handler404 = "landing.views.missing"
