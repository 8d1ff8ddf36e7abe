"""Public addresses: short, and telling nothing about who opens them."""

from django.urls import path, re_path

from . import views

app_name = "landing"
urlpatterns = [
    path("p/<slug:slug>/", views.page, name="page"),
    path("o/<str:token>/", views.opt_out, name="opt_out"),
    # Without a slash at its end, so that no redirect can come between a mail program and its answer.
    path("u/<str:token>", views.one_click, name="one_click"),
    path("c/<str:token>/", views.confirm, name="confirm"),
    path("m/<str:token>/", views.preferences, name="preferences"),
    path("m/<str:token>/history.json", views.download, name="history"),
    path("v/<str:token>/", views.view_online, name="view_online"),
    path("undo/<str:token>/", views.undo, name="undo"),
    path("hooks/<slug:provider>/", views.hook, name="hook"),
    re_path(r"^accent/(?P<codes>[0-9a-f]{6}(-[0-9a-f]{6})?)\.css$", views.accent, name="accent"),
    re_path(r"^logo/(?P<digest>[0-9a-f]{32})\.(?P<extension>[a-z]{3,4})$", views.logo, name="logo"),
]
