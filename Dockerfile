# The command line in a container: docker build -t performer . && docker run --rm -v "$PWD:/work" performer --help
FROM maven:3.9-eclipse-temurin-17 AS build
WORKDIR /performer
COPY pom.xml .
COPY src/main src/main
RUN mvn -q -B -DskipTests compile jar:jar@launcher dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory=lib \
    && mv target/launcher/performer-*-launcher.jar lib/performer.jar

FROM eclipse-temurin:17-jre
# The JDK draws the letters of charts with the system's fonts.
RUN apt-get update -q && apt-get install -q -y --no-install-recommends fontconfig fonts-dejavu-core && rm -rf /var/lib/apt/lists/*
COPY --from=build /performer/lib /opt/performer/lib
COPY performer /opt/performer/
RUN /opt/performer/performer --version
WORKDIR /work
ENTRYPOINT ["/opt/performer/performer"]
