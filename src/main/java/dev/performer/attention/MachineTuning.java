package dev.performer.attention;
