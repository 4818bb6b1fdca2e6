"""The admin, and the health check."""

from django.contrib import admin
from django.http import HttpResponse
from django.urls import path

urlpatterns = [path("admin/", admin.site.urls), path("health", lambda _: HttpResponse("well"))]
