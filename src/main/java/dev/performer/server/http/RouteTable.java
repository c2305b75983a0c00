package dev.performer.server.http;

import java.net.URLDecoder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** All routes, and which one a request means. */
final class RouteTable {
  static final Pattern PARAMETER = Pattern.compile("\\{([A-Za-z_]+)}");

  /** A route that matches, with what its parameters stand for. */
  record Match(Operation operation, Map<String, String> parameters) {}

  private record Route(Operation operation, Pattern pattern, List<String> names, int fixed) {
    static Route of(Operation operation) {
      StringBuilder pattern = new StringBuilder();
      List<String> names = new ArrayList<>();
      Matcher parameter = PARAMETER.matcher(operation.path);
      int end = 0;
      while (parameter.find()) {
        pattern.append(Pattern.quote(operation.path.substring(end, parameter.start())));
        end = parameter.end();
        pattern.append("([^/:]+)");
        names.add(parameter.group(1));
      }
      pattern.append(Pattern.quote(operation.path.substring(end)));
      int fixed = PARAMETER.matcher(operation.path).replaceAll("").length();
      return new Route(operation, Pattern.compile(pattern.toString()), names, fixed);
    }

    /** With names in place of parameters, two routes that only differ in them are the same. */
    String shape() {
      return operation.method + " " + PARAMETER.matcher(operation.path).replaceAll("{}");
    }
  }

  private final List<Route> routes = new ArrayList<>();

  /** The routes of one API go through this. */
  Routes of(Api api) {
    return new Routes() {
      @Override
      public Operation get(String path, Handler handler) {
        return add(new Operation(api, "GET", path, handler));
      }

      @Override
      public Operation post(String path, Handler handler) {
        return add(new Operation(api, "POST", path, handler));
      }

      @Override
      public Operation put(String path, Handler handler) {
        return add(new Operation(api, "PUT", path, handler));
      }

      @Override
      public Operation delete(String path, Handler handler) {
        return add(new Operation(api, "DELETE", path, handler));
      }
    };
  }

  private Operation add(Operation operation) {
    Route route = Route.of(operation);
    for (Route other : routes) {
      if (other.shape().equals(route.shape())) {
        throw new IllegalArgumentException(route.shape() + " is mounted twice");
      }
    }
    routes.add(route);
    routes.sort((one, two) -> two.fixed() - one.fixed());
    return operation;
  }

  List<Operation> operations() {
    return routes.stream().map(Route::operation).toList();
  }

  /**
   * @param method HEAD is GET. @return null where there is none
   */
  Match match(String method, String path) {
    String wanted = method.equals("HEAD") ? "GET" : method;
    for (Route route : routes) {
      if (route.operation.method.equals(wanted)) {
        Map<String, String> parameters = parameters(route, path);
        if (parameters != null) {
          return new Match(route.operation, parameters);
        }
      }
    }
    return null;
  }

  /** The methods that a path takes, for 405. */
  List<String> methods(String path) {
    return routes.stream()
        .filter(route -> route.pattern.matcher(path).matches())
        .map(route -> route.operation.method)
        .distinct()
        .sorted()
        .toList();
  }

  /** The API one of whose routes begins most like a path, of several the shortest. */
  Api nearest(String path) {
    Api nearest = null;
    int most = -1;
    int least = 0;
    for (Route route : routes) {
      String[] template = route.operation.path.split("[/:]");
      int common = common(template, path.split("[/:]"));
      if (common > most || common == most && template.length < least) {
        most = common;
        least = template.length;
        nearest = route.operation.api;
      }
    }
    return nearest;
  }

  private static int common(String[] template, String[] path) {
    int i = 0;
    while (i < template.length
        && i < path.length
        && (template[i].equals(path[i]) || template[i].startsWith("{") && !path[i].isEmpty())) {
      i++;
    }
    return i;
  }

  private static Map<String, String> parameters(Route route, String path) {
    Matcher matcher = route.pattern.matcher(path);
    if (!matcher.matches()) {
      return null;
    }
    Map<String, String> parameters = new LinkedHashMap<>();
    for (int i = 0; i < route.names.size(); i++) {
      parameters.put(route.names.get(i), decoded(matcher.group(i + 1)));
    }
    return Collections.unmodifiableMap(parameters);
  }

  /**
   * @throws Refusal of status 400 where a percent is followed by no number
   */
  static String decoded(String text) {
    try {
      return URLDecoder.decode(text.replace("+", "%2B"), StandardCharsets.UTF_8);
    } catch (IllegalArgumentException e) {
      throw new Refusal(400, "the path or the query has a % that no two hexadecimal digits follow");
    }
  }
}
