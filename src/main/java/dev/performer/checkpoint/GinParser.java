package dev.performer.checkpoint;

import static dev.performer.PerformerException.require;

import dev.performer.Excerpt;
import dev.performer.PerformerException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.MatchResult;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Reads gin's statements: Python literals, references and macros bound to parameters. Loops in its
 * patterns are possessive: others would take a stack as deep as a hostile text is long.
 */
final class GinParser {
  private static final Pattern SELECTOR =
      Pattern.compile("[A-Za-z_][\\w.\\-]*+(?:/[A-Za-z_][\\w.\\-]*+)*+");
  private static final Pattern NUMBER =
      Pattern.compile(
          "[-+]?(?:0[xX][0-9a-fA-F_]+|(?:[0-9][0-9_]*\\.?[0-9_]*|\\.[0-9][0-9_]*)(?:[eE][-+]?[0-9]+)?)");
  private static final Pattern CONSTANT = Pattern.compile("(?:None|True|False)(?![A-Za-z0-9])");
  private static final Pattern STRING_START = Pattern.compile("([rRbBuU]{0,2})('''|\"\"\"|['\"])");
  private static final Pattern ESCAPE = Pattern.compile("(?s)\\\\(.)");

  /** Blanks and continued lines. */
  private static final Pattern SPACE = Pattern.compile("(?:[ \\t\\r\\f]|\\\\[ \\t\\r]*+\\n)*+");

  /** With line ends and comments, as inside brackets and between statements. */
  private static final Pattern LINES =
      Pattern.compile("(?:[ \\t\\r\\f\\n]|\\\\[ \\t\\r]*+\\n|#[^\\n]*+)*+");

  private static final Pattern IMPORT =
      Pattern.compile("((?:import|from)[ \\t]++(?!=)[^\\n#]*+)[^\\n]*+");
  private static final Pattern INCLUDE = Pattern.compile("include[ \\t]++(?=['\"])");
  private static final int MAX_DEPTH = 100;

  private final Path file;
  private final String text;
  private final GinConfig config;
  private final Includes includes;
  private final Matcher token;
  private int at;

  GinParser(Path file, String text, GinConfig config, Includes includes) {
    this.file = file;
    this.text = text.startsWith("\uFEFF") ? text.substring(1) : text;
    this.config = config;
    this.includes = includes;
    this.token = SPACE.matcher(this.text);
  }

  void parse() {
    String block = null;
    for (take(LINES); at < text.length(); take(LINES)) {
      boolean isIndented = at > 0 && text.charAt(at - 1) != '\n';
      block = statement(isIndented ? block : null);
      endOfStatement();
    }
  }

  private void endOfStatement() {
    take(SPACE);
    expect(at >= text.length() || peek() == '\n' || peek() == '#', "the end of the line");
  }

  /** One statement; the selector of the block that it begins or is in, or null. */
  private String statement(String block) {
    if (take(IMPORT)) {
      config.skipped().add(token.group(1).strip());
      return null;
    }
    if (take(INCLUDE)) {
      String name = strings(SPACE);
      endOfStatement();
      include(name);
      return null;
    }
    String selector = next(SELECTOR, "a parameter name");
    take(SPACE);
    if (take(':')) {
      return selector;
    }
    expect(take('='), "'=' after a parameter's name");
    take(SPACE);
    var key = GinConfig.Key.of(block == null ? selector : block + "." + selector);
    config.bindings().remove(key); // the order is that of the last bindings
    config.bindings().put(key, value(0));
    return block;
  }

  /** What another file binds, as if it stood here. */
  private void include(String name) {
    Path included;
    try {
      included = includes.enter(file, name);
    } catch (PerformerException e) {
      throw fail("include '" + Excerpt.of(name) + "': " + e.getMessage());
    }
    new GinParser(included, GinConfig.text(included), config, includes).parse();
    includes.open.pop();
  }

  private Object value(int depth) {
    if (depth > MAX_DEPTH) {
      throw fail("is nested too deeply");
    }
    List<Object> items = new ArrayList<>();
    if (take('(')) {
      boolean isTuple = items(')', () -> items.add(value(depth + 1))) || items.size() != 1;
      return isTuple ? List.copyOf(items) : items.get(0);
    } else if (take('[')) {
      items(']', () -> items.add(value(depth + 1)));
      return List.copyOf(items);
    } else if (take('{')) {
      Map<Object, Object> entries = new LinkedHashMap<>();
      items('}', () -> entries.put(key(depth + 1), value(depth + 1)));
      return entries;
    } else if (take('@')) {
      return reference(next(SELECTOR, "a name after @"));
    } else if (take('%')) {
      return new GinConfig.Macro(next(SELECTOR, "a macro's name"));
    } else if (token.usePattern(STRING_START).region(at, text.length()).lookingAt()) {
      return strings(depth > 0 ? LINES : SPACE);
    } else if (take(NUMBER)) {
      return number(token.group().replace("_", ""));
    }
    String values = "a value: a number, string, list, True, False, None, @reference or %macro";
    String word = next(CONSTANT, values);
    return word.equals("None") ? GinConfig.NONE : Boolean.valueOf(word);
  }

  private GinConfig.Reference reference(String selector) {
    int slash = selector.lastIndexOf('/');
    String name = selector.substring(Math.max(slash, selector.lastIndexOf('.')) + 1);
    String scope = slash < 0 ? "" : selector.substring(0, slash);
    return new GinConfig.Reference(scope, name, take('(') && take(')'));
  }

  private Object key(int depth) {
    Object key = value(depth);
    take(LINES);
    expect(take(':'), "':' after a key");
    take(LINES);
    return key;
  }

  /** Reads what stands between brackets; whether a comma follows the last item. */
  private boolean items(char close, Runnable item) {
    boolean hasComma = false;
    take(LINES);
    while (!take(close)) {
      item.run();
      take(LINES);
      hasComma = take(',');
      take(LINES);
      expect(hasComma || peek() == close, "',' or '" + close + "'");
    }
    return hasComma;
  }

  /** Neighbouring strings are one, as in Python. */
  private String strings(Pattern between) {
    StringBuilder all = new StringBuilder();
    while (take(STRING_START)) {
      boolean isRaw = token.group(1).toLowerCase().contains("r");
      String end = token.group(2);
      int start = at;
      while (!text.startsWith(end, at)) {
        expect(at < text.length() && (peek() != '\n' || end.length() > 1), "the end of a string");
        at += peek() == '\\' ? 2 : 1;
      }
      String body = text.substring(start, at);
      all.append(isRaw ? body : ESCAPE.matcher(body).replaceAll(GinParser::unescaped));
      at += end.length();
      take(between);
    }
    return all.toString();
  }

  private static String unescaped(MatchResult escape) {
    boolean isKnown = "ntr\\'\"\n".contains(escape.group(1)); // others stay, as in Python
    return Matcher.quoteReplacement(isKnown ? escape.group().translateEscapes() : escape.group());
  }

  private Object number(String digits) {
    try {
      if (digits.matches("[-+]?0[xX].*")) {
        return Long.decode(digits);
      } else if (digits.matches("[-+]?[0-9]+")) {
        return Long.valueOf(digits);
      }
      return Double.valueOf(digits);
    } catch (NumberFormatException e) {
      throw fail("has a number that cannot be read" + quoted(": ", digits, ""));
    }
  }

  private char peek() {
    return at < text.length() ? text.charAt(at) : 0;
  }

  private boolean take(char c) {
    boolean isNext = peek() == c;
    at += isNext ? 1 : 0;
    return isNext;
  }

  private boolean take(Pattern pattern) {
    boolean isNext = token.usePattern(pattern).region(at, text.length()).lookingAt();
    at = isNext ? token.end() : at;
    return isNext;
  }

  private String next(Pattern pattern, String what) {
    expect(take(pattern), what);
    return token.group();
  }

  private void expect(boolean right, String what) {
    if (!right) {
      int start = Math.min(at, text.length());
      String next = text.substring(start, Math.min(text.length(), start + 20));
      String rest = next.lines().findFirst().orElse("");
      throw fail("expected " + what + (rest.isEmpty() ? "" : quoted(", found '", rest, "'")));
    }
  }

  /** A link beside a checkpoint may lead to anything: then nothing of it is shown. */
  private String quoted(String before, String found, String after) {
    return includes.isInside(file) ? before + Excerpt.of(found) + after : "";
  }

  private PerformerException fail(String what) {
    long ends = text.chars().limit(at).filter(c -> c == '\n').count();
    return new PerformerException(file + " line " + (ends + 1) + ": " + what);
  }

  /** The files that others include: only those in the first one's folder, links followed. */
  static final class Includes {
    private static final int MAX_DEPTH = 20;
    private static final int MAX_FILES = 200;

    private final Path folder;
    private final Deque<Path> open = new ArrayDeque<>();
    private int files;

    Includes(Path first) {
      folder = real(first.toAbsolutePath().getParent());
      open.push(real(first));
    }

    /** The file that another one includes, by its place relative to that; errors name no line. */
    Path enter(Path from, String name) {
      Path place;
      try {
        place = from.resolveSibling(name).normalize();
      } catch (InvalidPathException e) {
        throw new PerformerException("this is no path", e);
      }
      require(isInside(place), "it lies outside of %s, where all files must be", folder);
      boolean isThere = !name.isBlank() && Files.isRegularFile(place);
      require(isThere, "there is no file %s; put it there, or leave the line out", place);
      Path real = real(place);
      require(!open.contains(real), "this file is being read already: it includes itself");
      String tooMany = "more than %s files inside each other, or %s in all, are not read";
      boolean fits = open.size() <= MAX_DEPTH && ++files <= MAX_FILES;
      require(fits, tooMany, MAX_DEPTH, MAX_FILES);
      open.push(real);
      return place;
    }

    /** Whether a file, links followed, lies in the folder of the first one. */
    boolean isInside(Path file) {
      return real(file).startsWith(folder);
    }

    private static Path real(Path file) {
      try {
        return file.toRealPath();
      } catch (IOException e) {
        return file.toAbsolutePath().normalize(); // a text that is no file
      }
    }
  }
}
