package dev.performer.checkpoint;

import dev.performer.Excerpt;
import dev.performer.PerformerException;
import java.math.BigInteger;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** Reads gin's statements: Python literals, references and macros bound to parameters. */
final class GinParser {
  private static final Pattern SELECTOR =
      Pattern.compile("[A-Za-z_][\\w.\\-]*(?:/[A-Za-z_][\\w.\\-]*)*");
  private static final Pattern NUMBER =
      Pattern.compile(
          "[-+]?(?:0[xX][0-9a-fA-F_]+|(?:[0-9][0-9_]*\\.?[0-9_]*|\\.[0-9][0-9_]*)(?:[eE][-+]?[0-9]+)?)");
  private static final int MAX_DEPTH = 100;

  private final Path file;
  private final String text;
  private final GinIncludes includes;
  private final Map<String, Object> bindings;
  private final List<String> skipped;
  private int at;

  GinParser(Path file, String text) {
    this(file, text, new GinIncludes(file), new LinkedHashMap<>(), new ArrayList<>());
  }

  private GinParser(
      Path file,
      String text,
      GinIncludes includes,
      Map<String, Object> bindings,
      List<String> skipped) {
    this.file = file;
    this.text = text.startsWith("\uFEFF") ? text.substring(1) : text;
    this.includes = includes;
    this.bindings = bindings;
    this.skipped = skipped;
  }

  GinConfig parse() {
    String block = null;
    while (true) {
      boolean indented = blankLines();
      if (at >= text.length()) {
        return GinConfig.of(file, bindings, skipped);
      }
      if (!indented) {
        block = null;
      }
      block = statement(block);
    }
  }

  /** Goes to the next statement; whether it is indented. */
  private boolean blankLines() {
    int start = at;
    while (at < text.length()) {
      char c = text.charAt(at);
      if (c == '\n') {
        at++;
        start = at;
      } else if (c == '#') {
        comment();
      } else if (isSpace(c)) {
        at++;
      } else {
        break;
      }
    }
    return at > start;
  }

  /** One statement; the selector of the block that it begins or is in, or null. */
  private String statement(String block) {
    if (skipImport() || include()) {
      return null;
    }
    String selector = match(SELECTOR, "a parameter name");
    space(false);
    if (peek() == ':') {
      at++;
      endOfStatement();
      return selector;
    }
    if (peek() != '=') {
      throw expected("'=' after a parameter's name");
    }
    at++;
    space(false);
    String key = block == null ? selector : block + "." + selector;
    bindings.remove(key);
    bindings.put(key, value(0));
    endOfStatement();
    return block;
  }

  private boolean skipImport() {
    Matcher matcher = Pattern.compile("(?:import|from)[ \\t][^\\n]*").matcher(text);
    if (matcher.region(at, text.length()).lookingAt()
        && !matcher.group().matches("\\w+\\s*=.*|\\w+\\s+=.*")) {
      skipped.add(matcher.group().replaceFirst("#.*", "").strip());
      at = matcher.end();
      return true;
    }
    return false;
  }

  /** What another file binds, as if it stood here. */
  private boolean include() {
    Matcher matcher = Pattern.compile("include[ \\t]+(?=['\"])").matcher(text);
    if (!matcher.region(at, text.length()).lookingAt()) {
      return false;
    }
    int start = at;
    at = matcher.end();
    String name = strings(false);
    endOfStatement();
    Path included;
    try {
      included = includes.enter(file, name);
    } catch (PerformerException e) {
      at = start;
      throw fail("include '" + Excerpt.of(name) + "': " + e.getMessage());
    }
    new GinParser(included, GinConfig.text(included), includes, bindings, skipped).parse();
    includes.leave();
    return true;
  }

  private void endOfStatement() {
    space(false);
    if (at < text.length() && peek() != '\n' && peek() != '#') {
      throw expected("the end of the line");
    }
  }

  private Object value(int depth) {
    if (depth > MAX_DEPTH) {
      throw fail("is nested too deeply");
    }
    boolean inside = depth > 0;
    char c = peek();
    if (c == '(' || c == '[') {
      return sequence(c, depth);
    }
    if (c == '{') {
      return map(depth);
    }
    if (c == '@') {
      at++;
      return reference();
    }
    if (c == '%') {
      at++;
      return new GinConfig.Macro(match(SELECTOR, "a macro's name"));
    }
    if (c == '\'' || c == '"' || isStringPrefix()) {
      return strings(inside);
    }
    if (c == '-' || c == '+' || c == '.' || Character.isDigit(c)) {
      return number();
    }
    return word();
  }

  private GinConfig.Reference reference() {
    String selector = match(SELECTOR, "a name after @");
    int slash = selector.lastIndexOf('/');
    String name = selector.substring(slash + 1);
    boolean called = text.startsWith("()", at);
    if (called) {
      at += 2;
    }
    return new GinConfig.Reference(
        slash < 0 ? "" : selector.substring(0, slash),
        name.substring(name.lastIndexOf('.') + 1),
        called);
  }

  private Object sequence(char open, int depth) {
    char close = open == '(' ? ')' : ']';
    List<Object> items = new ArrayList<>();
    boolean comma = items(close, () -> items.add(value(depth + 1)));
    return open == '(' && items.size() == 1 && !comma ? items.get(0) : List.copyOf(items);
  }

  private Map<Object, Object> map(int depth) {
    Map<Object, Object> entries = new LinkedHashMap<>();
    items(
        '}',
        () -> {
          Object key = value(depth + 1);
          space(true);
          if (peek() != ':') {
            throw expected("':' after a key");
          }
          at++;
          space(true);
          entries.put(key, value(depth + 1));
        });
    return entries;
  }

  /** Reads what stands between brackets; whether a comma follows the last item. */
  private boolean items(char close, Runnable item) {
    boolean comma = false;
    at++;
    space(true);
    while (peek() != close) {
      item.run();
      space(true);
      comma = peek() == ',';
      if (comma) {
        at++;
        space(true);
      } else if (peek() != close) {
        throw expected("',' or '" + close + "'");
      }
    }
    at++;
    return comma;
  }

  private boolean isStringPrefix() {
    return text.substring(at, Math.min(text.length(), at + 3)).matches("(?s)[rRbBuU]{1,2}['\"].*");
  }

  /** Neighbouring strings are one, as in Python. */
  private String strings(boolean inside) {
    StringBuilder all = new StringBuilder();
    while (at < text.length() && (peek() == '\'' || peek() == '"' || isStringPrefix())) {
      boolean raw = false;
      while (Character.isLetter(peek())) {
        raw |= Character.toLowerCase(peek()) == 'r';
        at++;
      }
      string(all, raw);
      space(inside);
    }
    return all.toString();
  }

  private void string(StringBuilder into, boolean raw) {
    char quote = peek();
    String end = String.valueOf(quote).repeat(text.startsWith(("" + quote).repeat(3), at) ? 3 : 1);
    at += end.length();
    while (!text.startsWith(end, at)) {
      char c = peek();
      if (c == 0 || (c == '\n' && end.length() == 1)) {
        throw expected("the end of a string");
      }
      at++;
      if (c == '\\' && !raw && at < text.length()) {
        escape(into);
      } else {
        into.append(c);
      }
    }
    at += end.length();
  }

  private void escape(StringBuilder into) {
    char c = text.charAt(at++);
    switch (c) {
      case 'n' -> into.append('\n');
      case 't' -> into.append('\t');
      case 'r' -> into.append('\r');
      case '\\', '\'', '"' -> into.append(c);
      case '\n' -> {}
      default -> into.append('\\').append(c);
    }
  }

  private Object number() {
    String found = match(NUMBER, "a number").replace("_", "");
    try {
      if (found.matches("[-+]?0[xX].*")) {
        boolean minus = found.startsWith("-");
        long magnitude = Long.parseLong(found.replaceFirst("[-+]?0[xX]", ""), 16);
        return minus ? -magnitude : magnitude;
      }
      if (found.matches("[-+]?[0-9]+")) {
        return new BigInteger(found).longValueExact();
      }
      return Double.valueOf(found);
    } catch (ArithmeticException | NumberFormatException e) {
      throw fail("has a number that cannot be read" + quoted(": ", found, ""));
    }
  }

  private Object word() {
    int start = at;
    while (at < text.length() && Character.isLetterOrDigit(text.charAt(at))) {
      at++;
    }
    String word = text.substring(start, at);
    return switch (word) {
      case "None" -> GinConfig.NONE;
      case "True" -> Boolean.TRUE;
      case "False" -> Boolean.FALSE;
      default -> {
        at = start;
        throw expected("a value: a number, string, list, True, False, None, @reference or %macro");
      }
    };
  }

  /** Skips blanks and continued lines; inside brackets also line ends and comments. */
  private void space(boolean lines) {
    while (at < text.length()) {
      char c = text.charAt(at);
      if (isSpace(c) || (lines && c == '\n')) {
        at++;
      } else if (c == '\\' && text.substring(at).matches("(?s)\\\\[ \\t\\r]*\\n.*")) {
        at = text.indexOf('\n', at) + 1;
      } else if (lines && c == '#') {
        comment();
      } else {
        return;
      }
    }
  }

  private void comment() {
    int end = text.indexOf('\n', at);
    at = end < 0 ? text.length() : end;
  }

  private static boolean isSpace(char c) {
    return c == ' ' || c == '\t' || c == '\r' || c == '\f';
  }

  private char peek() {
    return at < text.length() ? text.charAt(at) : 0;
  }

  private String match(Pattern pattern, String what) {
    Matcher matcher = pattern.matcher(text).region(at, text.length());
    if (!matcher.lookingAt() || matcher.end() == at) {
      throw expected(what);
    }
    at = matcher.end();
    return matcher.group();
  }

  private PerformerException expected(String what) {
    int end = Math.min(text.length(), at + 20);
    String rest = text.substring(Math.min(at, end), end).lines().findFirst().orElse("");
    return fail("expected " + what + (rest.isEmpty() ? "" : quoted(", found '", rest, "'")));
  }

  /** A link beside a checkpoint may lead to anything: then nothing of it is shown. */
  private String quoted(String before, String found, String after) {
    return includes.isInside(file) ? before + Excerpt.of(found) + after : "";
  }

  private PerformerException fail(String what) {
    long ends = text.chars().limit(at).filter(c -> c == '\n').count();
    return new PerformerException(file + " line " + (ends + 1) + ": " + what);
  }
}
